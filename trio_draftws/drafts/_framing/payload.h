/* Payload: the payload of one message, in memory that becomes the message; and Text: the memory of
   a text, to be sent from. payload.py has both in Python, with the same methods.

   The memory is a str of ASCII, or bytes, that nobody else has yet, and is only written to until it
   is handed out: once, by `finish`, if it has just the size of what came and nobody can write to it
   any more. Memory that was never written to costs only address space, and grows without a copy if
   the system can move pages. */

#include <Python.h>

typedef struct {
    PyObject_HEAD
    PyObject *message;   /* A str or bytes of `room` bytes; NULL while nothing is taken */
    Py_ssize_t room;
    Py_ssize_t used;     /* How many of them have come */
    Py_ssize_t reserved; /* Up to where they may be written to by others */
    Py_ssize_t views;    /* How many can do so */
    Utf8 text;
    char is_text;
    char is_lenient;     /* Whether bad UTF-8 becomes U+FFFD */
    char is_broken;      /* Whether it is bad UTF-8, and lenient */
} Payload;

enum { LITTLE = 1 << 18 };

static unsigned char *
payload_data(Payload *self)
{
    if (self->message == NULL)
        return NULL;
    if (self->is_text)
        return PyUnicode_1BYTE_DATA(self->message);
    return (unsigned char *)PyBytes_AS_STRING(self->message);
}

static int
payload_resize(Payload *self, Py_ssize_t room)
{
    if (self->views > 0) {
        PyErr_SetString(PyExc_BufferError, "somebody may still write to what was reserved");
        return -1;
    }
    int failed = 0;
    if (self->message == NULL) {
        self->message = self->is_text ? PyUnicode_New(room, 0x7F)
                                      : PyBytes_FromStringAndSize(NULL, room);
        failed = self->message == NULL;
    }
    else if (self->is_text) {
        failed = PyUnicode_Resize(&self->message, room);
    }
    else {
        failed = _PyBytes_Resize(&self->message, room);
    }
    if (self->message == NULL)
        self->room = self->used = 0;
    else if (!failed)
        self->room = room;
    return failed ? -1 : 0;
}

/* Makes room for `more` bytes. */
static int
payload_make_room(Payload *self, Py_ssize_t more, int exactly)
{
    if (more > PY_SSIZE_T_MAX / 2 - self->used) {
        PyErr_NoMemory();
        return -1;
    }
    const Py_ssize_t needed = self->used + more;
    /* One byte at least: Python has the empty str, and empty bytes, only once. */
    if (needed <= self->room && self->room > 0)
        return 0;
    if (exactly)
        return payload_resize(self, needed + !needed);
    /* As much again while that is little: each time, all may have to be moved. */
    return payload_resize(self, needed + (needed < LITTLE ? needed : needed / 8) + 16);
}

/* Takes `size` bytes that were put behind those that have come; returns whether the message can
   still be UTF-8. */
static int
payload_took(Payload *self, Py_ssize_t size, int is_ascii)
{
    if (self->is_text && !self->is_broken) {
        const unsigned char *data = payload_data(self);
        if (is_ascii && unfinished_utf8(data, self->used) == 0) {
            self->text.characters += size;
        }
        else if (!look_at_utf8(&self->text, data, self->used, self->used + size)) {
            if (!self->is_lenient)
                return 0;
            self->is_broken = 1;
        }
    }
    self->used += size;
    return 1;
}

/* Gets a masking key, which may be empty, and where to begin in it. */
static int
get_key(PyObject *key, PyObject *offset, Py_buffer *buffer, Py_ssize_t *at)
{
    *at = PyLong_AsSsize_t(offset);
    if (*at == -1 && PyErr_Occurred())
        return -1;
    if (*at < 0) {
        PyErr_SetString(PyExc_ValueError, "an offset is not below 0");
        return -1;
    }
    if (PyObject_GetBuffer(key, buffer, PyBUF_SIMPLE) < 0)
        return -1;
    if (buffer->len > 0)
        *at %= buffer->len;
    return 0;
}

static PyObject *
payload_reserve(Payload *self, PyObject *argument)
{
    const Py_ssize_t size = PyLong_AsSsize_t(argument);
    if (size == -1 && PyErr_Occurred())
        return NULL;
    if (size < 0) {
        PyErr_SetString(PyExc_ValueError, "a size is not below 0");
        return NULL;
    }
    if (payload_make_room(self, size, 1) < 0)
        return NULL;
    self->reserved = self->used + size;
    return PyMemoryView_FromObject((PyObject *)self);
}

static PyObject *
payload_take(Payload *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "take takes 3 arguments, not %zd", count);
        return NULL;
    }
    const Py_ssize_t size = PyLong_AsSsize_t(args[0]);
    if (size == -1 && PyErr_Occurred())
        return NULL;
    if (size < 0 || size > self->reserved - self->used) {
        PyErr_SetString(PyExc_ValueError, "so much was not reserved");
        return NULL;
    }
    Py_buffer key;
    Py_ssize_t at;
    if (get_key(args[1], args[2], &key, &at) < 0)
        return NULL;
    int is_ascii = 0;
    if (size > 0 && key.len > 0) {
        unsigned char *came = payload_data(self) + self->used;
        if (key.len == 4)
            is_ascii = mask_in_place(came, size, key.buf, at);
        else
            mask_bytes(came, came, size, key.buf, key.len, at);
    }
    PyBuffer_Release(&key);
    return PyBool_FromLong(payload_took(self, size, is_ascii));
}

static PyObject *
payload_add(Payload *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 1 && count != 3) {
        PyErr_Format(PyExc_TypeError, "add takes 1 or 3 arguments, not %zd", count);
        return NULL;
    }
    Py_buffer part, key = {.len = 0};
    Py_ssize_t at = 0;
    if (count == 3 && get_key(args[1], args[2], &key, &at) < 0)
        return NULL;
    PyObject *result = NULL;
    if (PyObject_GetBuffer(args[0], &part, PyBUF_SIMPLE) == 0) {
        if (payload_make_room(self, part.len, 0) == 0) {
            unsigned char *to = payload_data(self) + self->used;
            if (key.len > 0)
                mask_bytes(to, part.buf, part.len, key.buf, key.len, at);
            else if (part.len > 0)
                memcpy(to, part.buf, (size_t)part.len);
            self->reserved = self->used;
            result = PyBool_FromLong(payload_took(self, part.len, 0));
        }
        PyBuffer_Release(&part);
    }
    if (count == 3)
        PyBuffer_Release(&key);
    return result;
}

static PyObject *
payload_check(Payload *self, PyObject *argument)
{
    Py_buffer part;
    if (PyObject_GetBuffer(argument, &part, PyBUF_SIMPLE) < 0)
        return NULL;
    int is_good = 1;
    if (self->is_text && !self->is_lenient) {
        unsigned char both[6];
        const unsigned char *data = payload_data(self);
        const int unfinished = unfinished_utf8(data, self->used);
        for (int i = 0; i < unfinished; i++)
            both[i] = data[self->used - unfinished + i];
        is_good = can_follow_utf8(both, unfinished, part.buf, part.len);
    }
    PyBuffer_Release(&part);
    return PyBool_FromLong(is_good);
}

/* The text of what has come. An unfinished character at its end is an error only if `final`. */
static PyObject *
payload_text(Payload *self, int final, Py_ssize_t *taken)
{
    const unsigned char *data = payload_data(self);
    *taken = self->used;
    if (self->text.most < 0x80 && !self->is_broken) {
        PyObject *ascii = PyUnicode_New(self->used, 0x7F);
        if (ascii != NULL && self->used > 0)
            memcpy(PyUnicode_1BYTE_DATA(ascii), data, (size_t)self->used);
        return ascii;
    }
    if (!self->is_broken) {
        const int unfinished = unfinished_utf8(data, self->used);
        if (unfinished == 0)
            return decoded_utf8(&self->text, data, self->used);
        if (!final) {
            *taken -= unfinished;
            /* What is not counted yet may be what is widest. */
            return PyUnicode_DecodeUTF8((const char *)data, *taken, "strict");
        }
    }
    return PyUnicode_DecodeUTF8Stateful((const char *)data, self->used,
                                        self->is_lenient ? "replace" : "strict",
                                        final ? NULL : taken);
}

static void
payload_forget(Payload *self)
{
    if (self->views == 0) {
        Py_CLEAR(self->message);
        self->room = 0;
    }
    self->used = self->reserved = 0;
    self->text.characters = 0;
    self->text.most = 0;
    self->is_broken = 0;
}

static PyObject *
payload_pop(Payload *self, PyObject *final)
{
    const int ends = PyObject_IsTrue(final);
    if (ends < 0)
        return NULL;
    Py_ssize_t taken = self->used;
    PyObject *part = self->is_text
                         ? payload_text(self, ends, &taken)
                         : PyBytes_FromStringAndSize((const char *)payload_data(self), taken);
    if (part == NULL)
        return NULL;
    /* The beginning of a character */
    unsigned char rest[4];
    const Py_ssize_t left = Py_MIN(self->used - taken, (Py_ssize_t)sizeof rest);
    if (left > 0)
        memcpy(rest, payload_data(self) + taken, (size_t)left);
    payload_forget(self);
    if (left > 0) {
        if (payload_make_room(self, left, 0) < 0) {
            Py_DECREF(part);
            return NULL;
        }
        memcpy(payload_data(self), rest, (size_t)left);
        payload_took(self, left, 0);
    }
    return part;
}

static PyObject *
payload_finish(Payload *self, PyObject *Py_UNUSED(nothing))
{
    PyObject *message;
    Py_ssize_t taken;
    /* Those of a byte Python may have only once. What has room to grow is copied: where it was
       shrunk instead, the system would give new pages to each message, since malloc learns from
       the sizes of what it is given back. */
    const int is_whole = self->used > 1 && self->used == self->room && self->views == 0 &&
                         (!self->is_text || (self->text.most < 0x80 && !self->is_broken));
    if (is_whole) {
        message = self->message;
        self->message = NULL;
        self->room = 0;
    }
    else if (self->is_text) {
        message = payload_text(self, 1, &taken);
        if (message == NULL)
            return NULL;
    }
    else {
        message = PyBytes_FromStringAndSize((const char *)payload_data(self), self->used);
        if (message == NULL)
            return NULL;
    }
    payload_forget(self);
    return message;
}

static Py_ssize_t
payload_length(Payload *self)
{
    return self->used;
}

static int
payload_get_buffer(Payload *self, Py_buffer *view, int flags)
{
    unsigned char *data = payload_data(self);
    if (data == NULL) {
        PyErr_SetString(PyExc_BufferError, "nothing was reserved");
        return -1;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)self, data + self->used, self->reserved - self->used, 0,
                          flags) < 0)
        return -1;
    self->views++;
    return 0;
}

static void
payload_release_buffer(Payload *self, Py_buffer *Py_UNUSED(view))
{
    self->views--;
}

static PyObject *
payload_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int is_text, is_lenient;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Payload takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "pp:Payload", &is_text, &is_lenient))
        return NULL;
    Payload *self = (Payload *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->is_text = (char)is_text;
        self->is_lenient = (char)is_lenient;
    }
    return (PyObject *)self;
}

static void
payload_dealloc(Payload *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->message);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef payload_methods[] = {
    {"reserve", (PyCFunction)payload_reserve, METH_O,
     PyDoc_STR("reserve(size, /)\n--\n\nMemory for `size` more bytes.")},
    {"take", (PyCFunction)(void (*)(void))payload_take, METH_FASTCALL,
     PyDoc_STR("take(size, key, offset, /)\n--\n\nTakes bytes that were put there.")},
    {"add", (PyCFunction)(void (*)(void))payload_add, METH_FASTCALL,
     PyDoc_STR("add(part, key=b'', offset=0, /)\n--\n\nTakes a copy of a part.")},
    {"check", (PyCFunction)payload_check, METH_O,
     PyDoc_STR("check(part, /)\n--\n\nWhether a part can follow.")},
    {"pop", (PyCFunction)payload_pop, METH_O,
     PyDoc_STR("pop(final, /)\n--\n\nReturns what has come, and forgets it.")},
    {"finish", (PyCFunction)payload_finish, METH_NOARGS,
     PyDoc_STR("finish()\n--\n\nReturns the message.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot payload_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Payload(is_text, is_lenient, /)\n--\n\n"
                                  "The payload of one message that comes in pieces.")},
    {Py_tp_new, payload_new},
    {Py_tp_dealloc, payload_dealloc},
    {Py_tp_methods, payload_methods},
    {Py_sq_length, payload_length},
    {Py_bf_getbuffer, payload_get_buffer},
    {Py_bf_releasebuffer, payload_release_buffer},
    {0, NULL},
};

static PyType_Spec payload_spec = {
    .name = "trio_draftws.drafts._framing.speedups.Payload",
    .basicsize = sizeof(Payload),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = payload_slots,
};

/* What `utf8_of` returns for an ASCII text: a buffer over the memory of the text. */
typedef struct {
    PyObject_HEAD
    PyObject *text;
} Text;

static int
text_get_buffer(Text *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, PyUnicode_DATA(self->text),
                             PyUnicode_GET_LENGTH(self->text), 1, flags);
}

static void
text_dealloc(Text *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->text);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot text_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The memory of an ASCII text, which never changes.")},
    {Py_tp_dealloc, text_dealloc},
    {Py_bf_getbuffer, text_get_buffer},
    {0, NULL},
};

static PyType_Spec text_spec = {
    .name = "trio_draftws.drafts._framing.speedups.Text",
    .basicsize = sizeof(Text),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = text_slots,
};
