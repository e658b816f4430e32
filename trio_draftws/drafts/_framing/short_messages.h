/* Whole messages of one short frame: what fast_path.py does in Python. Needs masking.h. */

#include <Python.h>
#include <string.h>

/* The message whose payload this is; NULL with an error set, or without one if `first` does not
   begin a whole message of one frame. */
static PyObject *
message_of(unsigned char first, const unsigned char *payload, Py_ssize_t size, const char *errors)
{
    /* RFC 6455 section 5.2: FIN and the opcode */
    if (first == 0x81)
        return PyUnicode_DecodeUTF8((const char *)payload, size, errors);
    if (first == 0x82)
        return PyBytes_FromStringAndSize((const char *)payload, size);
    return NULL;
}

enum { KEY = 4, SHORT = 125 };

/* Does what take_short_messages_in_python in fast_path.py does, line by line; `longest` is at most
   SHORT. Returns where the rest begins, or -1 with an error set. */
static Py_ssize_t
take_messages(const unsigned char *data, Py_ssize_t size, Py_ssize_t position, PyObject *events,
              int masked, Py_ssize_t longest, const char *errors, Py_ssize_t most)
{
    unsigned char unmasked[SHORT];
    const Py_ssize_t header_size = masked ? 2 + KEY : 2;
    for (Py_ssize_t taken = 0; taken < most && size - position >= header_size; taken++) {
        const Py_ssize_t length = (Py_ssize_t)data[position + 1] - (masked ? 0x80 : 0);
        const Py_ssize_t begin = position + header_size;
        if (length < 0 || length > longest || length > size - begin)
            break;
        const unsigned char *payload = data + begin;
        if (masked) {
            mask_bytes(unmasked, payload, length, payload - KEY, KEY, 0);
            payload = unmasked;
        }
        PyObject *message = message_of(data[position], payload, length, errors);
        if (message == NULL) {
            if (PyErr_Occurred()) {
                if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                    return -1;
                PyErr_Clear();
            }
            break;
        }
        const int appended = PyList_Append(events, message);
        Py_DECREF(message);
        if (appended < 0)
            return -1;
        position = begin + length;
    }
    return position;
}

static PyObject *
take_short_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 7) {
        PyErr_Format(PyExc_TypeError, "take_short_messages takes 7 arguments, not %zd", count);
        return NULL;
    }
    if (!PyBytes_Check(args[0]) || !PyList_Check(args[2]) || !PyUnicode_Check(args[5])) {
        PyErr_SetString(PyExc_TypeError,
                        "take_short_messages takes bytes, a list of events and the name of a way "
                        "to treat bad UTF-8");
        return NULL;
    }
    const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    const Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    Py_ssize_t position = PyLong_AsSsize_t(args[1]);
    if (position == -1 && PyErr_Occurred())
        return NULL;
    if (position < 0 || position > size) {
        PyErr_SetString(PyExc_IndexError, "there is no such position");
        return NULL;
    }
    const int masked = PyObject_IsTrue(args[3]);
    if (masked < 0)
        return NULL;
    Py_ssize_t longest = PyLong_AsSsize_t(args[4]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    if (longest > SHORT)
        longest = SHORT;
    const char *errors = PyUnicode_AsUTF8(args[5]);
    if (errors == NULL)
        return NULL;
    const Py_ssize_t most = PyLong_AsSsize_t(args[6]);
    if (most == -1 && PyErr_Occurred())
        return NULL;
    position = take_messages(data, size, position, args[2], masked, longest, errors, most);
    return position < 0 ? NULL : PyLong_FromSsize_t(position);
}

/* One frame: its first byte, its size, the masking key if `key` is not NULL, and the payload. */
static PyObject *
frame_of(unsigned char first, const char *payload, Py_ssize_t size, const unsigned char *key)
{
    const Py_ssize_t header_size = key == NULL ? 2 : 6;
    PyObject *frame = PyBytes_FromStringAndSize(NULL, header_size + size);
    if (frame == NULL)
        return NULL;
    unsigned char *at = (unsigned char *)PyBytes_AS_STRING(frame);
    at[0] = first;
    at[1] = (unsigned char)size;
    if (key == NULL) {
        memcpy(at + 2, payload, (size_t)size);
    }
    else {
        at[1] |= 0x80;
        memcpy(at + 2, key, 4);
        mask_bytes(at + header_size, (const unsigned char *)payload, size, key, 4, 0);
    }
    return frame;
}

/* Like frame_of, masked with a new key from `new_key` unless that is None. */
static PyObject *
frame_with_key(unsigned char first, const char *payload, Py_ssize_t size, PyObject *new_key)
{
    if (new_key == Py_None)
        return frame_of(first, payload, size, NULL);
    PyObject *key = PyObject_CallNoArgs(new_key);
    if (key == NULL)
        return NULL;
    PyObject *frame = NULL;
    if (PyBytes_Check(key) && PyBytes_GET_SIZE(key) == 4)
        frame = frame_of(first, payload, size, (const unsigned char *)PyBytes_AS_STRING(key));
    else
        PyErr_SetString(PyExc_ValueError, "the key must be four bytes");
    Py_DECREF(key);
    return frame;
}

/* The UTF-8 of a text of at most `longest` bytes: a new reference to what holds it, and where it
   lies. NULL with an error set, or without one for anything else. */
static PyObject *
short_utf8(PyObject *message, Py_ssize_t longest, const char **at, Py_ssize_t *size)
{
    if (!PyUnicode_CheckExact(message) || PyUnicode_GET_LENGTH(message) > longest)
        return NULL;
    if (PyUnicode_IS_ASCII(message)) {
        *at = (const char *)PyUnicode_DATA(message);
        *size = PyUnicode_GET_LENGTH(message);
        Py_INCREF(message);
        return message;
    }
    /* Not PyUnicode_AsUTF8: what that gives is kept as long as the text. */
    PyObject *payload = PyUnicode_AsUTF8String(message);
    if (payload == NULL) {
        /* A lone surrogate: the slow path raises the error. */
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            PyErr_Clear();
        return NULL;
    }
    *at = PyBytes_AS_STRING(payload);
    *size = PyBytes_GET_SIZE(payload);
    if (*size > longest)
        Py_CLEAR(payload);
    return payload;
}

/* Does what short_frame_in_python in fast_path.py does. */
static PyObject *
short_frame(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "short_frame takes 3 arguments, not %zd", count);
        return NULL;
    }
    PyObject *message = args[0];
    Py_ssize_t longest = PyLong_AsSsize_t(args[1]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    if (longest > 125)
        longest = 125;
    if (PyBytes_CheckExact(message)) {
        if (PyBytes_GET_SIZE(message) <= longest)
            return frame_with_key(0x82, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message),
                                  args[2]);
    }
    else {
        const char *payload;
        Py_ssize_t size;
        PyObject *holder = short_utf8(message, longest, &payload, &size);
        if (holder != NULL) {
            PyObject *frame = frame_with_key(0x81, payload, size, args[2]);
            Py_DECREF(holder);
            return frame;
        }
        if (PyErr_Occurred())
            return NULL;
    }
    Py_RETURN_NONE;
}

/* Checks how a text is framed: between `start` and `end`, which is one byte, or behind `start` and
   a byte with its size if `end` is empty. */
static int
check_text_frame(PyObject *start, PyObject *end)
{
    if (PyBytes_Check(start) && PyBytes_GET_SIZE(start) > 0 && PyBytes_Check(end) &&
        PyBytes_GET_SIZE(end) <= 1)
        return 0;
    PyErr_SetString(PyExc_TypeError, "a text begins with bytes, and ends with one or by its size");
    return -1;
}

/* Does what text_frame_in_python in fast_path.py does. */
static PyObject *
text_frame(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 4) {
        PyErr_Format(PyExc_TypeError, "text_frame takes 4 arguments, not %zd", count);
        return NULL;
    }
    if (check_text_frame(args[1], args[2]) < 0)
        return NULL;
    Py_ssize_t longest = PyLong_AsSsize_t(args[3]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    const Py_ssize_t end_size = PyBytes_GET_SIZE(args[2]);
    if (end_size == 0 && longest > 255)
        longest = 255;
    const char *payload;
    Py_ssize_t size;
    PyObject *holder = short_utf8(args[0], longest, &payload, &size);
    if (holder == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    const Py_ssize_t start_size = PyBytes_GET_SIZE(args[1]);
    PyObject *frame = PyBytes_FromStringAndSize(NULL, start_size + 1 + size);
    if (frame != NULL) {
        unsigned char *to = (unsigned char *)PyBytes_AS_STRING(frame);
        memcpy(to, PyBytes_AS_STRING(args[1]), (size_t)start_size);
        to += start_size;
        if (end_size == 0)
            *to++ = (unsigned char)size;
        memcpy(to, payload, (size_t)size);
        if (end_size != 0)
            to[size] = (unsigned char)PyBytes_AS_STRING(args[2])[0];
    }
    Py_DECREF(holder);
    return frame;
}

/* Does what take_texts_in_python in fast_path.py does. */
static Py_ssize_t
take_some_texts(const char *data, Py_ssize_t size, Py_ssize_t position, PyObject *events,
                PyObject *start_bytes, PyObject *end_bytes, Py_ssize_t longest, Py_ssize_t most)
{
    const char *start = PyBytes_AS_STRING(start_bytes);
    const Py_ssize_t start_size = PyBytes_GET_SIZE(start_bytes);
    const Py_ssize_t end_size = PyBytes_GET_SIZE(end_bytes);
    const Py_ssize_t header_size = start_size + 1 - end_size;
    for (Py_ssize_t taken = 0; taken < most && size - position >= header_size; taken++) {
        if (memcmp(data + position, start, (size_t)start_size) != 0)
            break;
        const char *payload = data + position + header_size;
        const Py_ssize_t left = size - position - header_size;
        Py_ssize_t length;
        if (end_size == 0) {
            length = (unsigned char)payload[-1];
        }
        else {
            const char *end = memchr(payload, PyBytes_AS_STRING(end_bytes)[0], (size_t)left);
            length = end == NULL ? left : end - payload;
        }
        if (length > longest || length + end_size > left)
            break;
        PyObject *text = PyUnicode_DecodeUTF8(payload, length, "replace");
        if (text == NULL)
            return -1;
        const int appended = PyList_Append(events, text);
        Py_DECREF(text);
        if (appended < 0)
            return -1;
        position += header_size + length + end_size;
    }
    return position;
}

static PyObject *
take_texts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 7) {
        PyErr_Format(PyExc_TypeError, "take_texts takes 7 arguments, not %zd", count);
        return NULL;
    }
    if (!PyBytes_Check(args[0]) || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "take_texts takes bytes and a list of events");
        return NULL;
    }
    if (check_text_frame(args[3], args[4]) < 0)
        return NULL;
    const Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    Py_ssize_t position = PyLong_AsSsize_t(args[1]);
    if (position == -1 && PyErr_Occurred())
        return NULL;
    const Py_ssize_t longest = PyLong_AsSsize_t(args[5]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    const Py_ssize_t most = PyLong_AsSsize_t(args[6]);
    if (most == -1 && PyErr_Occurred())
        return NULL;
    if (position < 0 || position > size) {
        PyErr_SetString(PyExc_IndexError, "there is no such position");
        return NULL;
    }
    position = take_some_texts(PyBytes_AS_STRING(args[0]), size, position, args[2], args[3],
                               args[4], longest, most);
    return position < 0 ? NULL : PyLong_FromSsize_t(position);
}
