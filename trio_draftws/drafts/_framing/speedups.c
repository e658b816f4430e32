/* Masks in C: what _masking.py says, a word of eight bytes at a time; what short messages are masked
   with, or not, what _short_messages.py says; and long ones, as _payload.py says.

   The package works without this file: those three take what they find. Not in the stable API,
   which has buffers only from Python 3.11 on. Words are copied in and out with memcpy: they lie at
   any address, and compilers make of it the one instruction that it is. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#ifndef MS_WINDOWS
#include <sys/socket.h>
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE. */
#endif
#endif

#include "utf8.h"

/* The longest key of any draft has 20 bytes, in hybi-04. Longer ones are applied byte by byte. */
#define LONGEST_KEY 32

static inline void
mask_word(unsigned char *to, const unsigned char *from, uint64_t mask)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    word ^= mask;
    memcpy(to, &word, sizeof word);
}

/* `to` is `from`, or apart from it; `at` is a place in the key. */
static void
mask_bytes(unsigned char *to, const unsigned char *from, Py_ssize_t size,
           const unsigned char *key, Py_ssize_t period, Py_ssize_t at)
{
    Py_ssize_t done = 0;
    if (size >= WORD && period <= LONGEST_KEY) {
        /* The key, and again its beginning: a word of mask from every place in it. */
        unsigned char repeated[LONGEST_KEY + sizeof(uint64_t)];
        uint64_t mask;
        memcpy(repeated, key, (size_t)period);
        for (Py_ssize_t i = period; i < period + WORD; i++)
            repeated[i] = repeated[i - period];
        if (WORD % period == 0) {
            memcpy(&mask, repeated + at, sizeof mask);
            for (; done + WORD <= size; done += WORD)
                mask_word(to + done, from + done, mask);
        }
        else {
            const Py_ssize_t step = WORD % period;
            for (; done + WORD <= size; done += WORD) {
                memcpy(&mask, repeated + at, sizeof mask);
                mask_word(to + done, from + done, mask);
                at += step;
                if (at >= period)
                    at -= period;
            }
        }
    }
    for (; done < size; done++) {
        to[done] = from[done] ^ key[at];
        if (++at == period)
            at = 0;
    }
}

static PyObject *
masked(const Py_buffer *payload, const Py_buffer *key, Py_ssize_t offset)
{
    if (key->len == 0) {
        PyErr_SetString(PyExc_ValueError, "the key is empty");
        return NULL;
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, payload->len);
    if (result == NULL)
        return NULL;
    offset %= key->len;
    if (offset < 0)
        offset += key->len;
    mask_bytes((unsigned char *)PyBytes_AS_STRING(result), payload->buf, payload->len, key->buf,
               key->len, offset);
    return result;
}

static PyObject *
apply_mask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 && count != 3) {
        PyErr_Format(PyExc_TypeError, "apply_mask takes 2 or 3 arguments, not %zd", count);
        return NULL;
    }
    Py_ssize_t offset = 0;
    if (count == 3) {
        offset = PyLong_AsSsize_t(args[2]);
        if (offset == -1 && PyErr_Occurred())
            return NULL;
    }
    Py_buffer payload, key;
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    PyObject *result = masked(&payload, &key, offset);
    PyBuffer_Release(&key);
    PyBuffer_Release(&payload);
    return result;
}

/* As mask_bytes where the bytes lie, with a key of four; says whether what comes of it is ASCII. */
static int
mask_where_it_lies(unsigned char *at, Py_ssize_t size, const unsigned char *key, Py_ssize_t offset)
{
    unsigned char repeated[2 * sizeof(uint64_t)];
    uint64_t mask, seen = 0;
    Py_ssize_t done = 0;
    for (size_t i = 0; i < sizeof repeated; i++)
        repeated[i] = key[(i + (size_t)offset) % 4];
    memcpy(&mask, repeated, sizeof mask);
    for (; done + WORD <= size; done += WORD) {
        uint64_t word;
        memcpy(&word, at + done, sizeof word);
        word ^= mask;
        seen |= word;
        memcpy(at + done, &word, sizeof word);
    }
    for (Py_ssize_t i = 0; done < size; done++, i++) {
        at[done] ^= repeated[i];
        seen |= at[done];
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

#include "payload.h"

/* The text or the binary message whose payload this is; NULL with an error set, or without one for
   what is no whole message of one frame. */
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

/* As take_short_messages_in_python in _short_messages.py, a line for a line; `longest` is at most
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

/* One frame: its first byte, its size, and the payload with the four bytes of a mask before it, if
   `key` has them. */
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

/* The same with a new key from `new_key`, unless that is None. */
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
   lies. NULL with an error set, or without one for what is no such text. */
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
        /* A lone surrogate; whoever takes it the long way says so. */
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

/* As short_frame_in_python in _short_messages.py. */
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

/* `start` and `end`, which say how a text is framed: behind `start` and a byte with its size, or
   between `start` and `end`, which is one byte then. */
static int
check_text_frame(PyObject *start, PyObject *end)
{
    if (PyBytes_Check(start) && PyBytes_GET_SIZE(start) > 0 && PyBytes_Check(end) &&
        PyBytes_GET_SIZE(end) <= 1)
        return 0;
    PyErr_SetString(PyExc_TypeError, "a text begins with bytes, and ends with one or by its size");
    return -1;
}

/* As text_frame_in_python in _short_messages.py. */
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

/* As take_texts_in_python in _short_messages.py. */
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

#ifndef MS_WINDOWS

/* What trio's streams read at once */
#define RECEIVE_SIZE 16384
/* As MOST_AT_ONCE in _codec.py */
#define MOST_AT_ONCE 256

/* Receives once, without ever blocking; -1 with an error set, or without one for nothing there. */
static Py_ssize_t
receive(PyObject *fileno, unsigned char *buffer)
{
    const long descriptor = PyLong_AsLong(fileno);
    if (descriptor == -1 && PyErr_Occurred())
        return -1;
    const ssize_t received = recv((int)descriptor, buffer, RECEIVE_SIZE, MSG_DONTWAIT);
    if (received < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        PyErr_SetFromErrno(PyExc_OSError);
    return received;
}

/* How much was received; and what of it was not taken, if anything. */
static PyObject *
received(const unsigned char *buffer, Py_ssize_t size, Py_ssize_t position)
{
    if (position < 0)
        return NULL;
    if (position == size)
        return PyLong_FromSsize_t(size);
    return Py_BuildValue("(ny#)", size, (const char *)buffer + position, size - position);
}

/* As receive_short_messages_in_python in _short_messages.py. */
static PyObject *
receive_short_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    unsigned char buffer[RECEIVE_SIZE];
    if (count != 5 || !PyUnicode_Check(args[2]) || !PyList_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "receive_short_messages takes a mask's presence, a size, "
                                         "a way to treat bad UTF-8, a descriptor and a list");
        return NULL;
    }
    const int masked = PyObject_IsTrue(args[0]);
    if (masked < 0)
        return NULL;
    Py_ssize_t longest = PyLong_AsSsize_t(args[1]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    if (longest > SHORT)
        longest = SHORT;
    const char *errors = PyUnicode_AsUTF8(args[2]);
    if (errors == NULL)
        return NULL;
    const Py_ssize_t size = receive(args[3], buffer);
    if (size < 0) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    return received(buffer, size,
                    take_messages(buffer, size, 0, args[4], masked, longest, errors,
                                  MOST_AT_ONCE));
}

/* As receive_texts_in_python in _short_messages.py. */
static PyObject *
receive_texts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    unsigned char buffer[RECEIVE_SIZE];
    if (count != 5 || !PyList_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "receive_texts takes the start and the end of a text, a "
                                         "size, a descriptor and a list");
        return NULL;
    }
    if (check_text_frame(args[0], args[1]) < 0)
        return NULL;
    const Py_ssize_t longest = PyLong_AsSsize_t(args[2]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    const Py_ssize_t size = receive(args[3], buffer);
    if (size < 0) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    return received(buffer, size,
                    take_some_texts((const char *)buffer, size, 0, args[4], args[0], args[1],
                                    longest, MOST_AT_ONCE));
}

/* Sends a frame, without ever blocking; takes over the reference. None and errors go through. */
static PyObject *
send_frame(PyObject *frame, PyObject *fileno)
{
    if (frame == NULL || frame == Py_None)
        return frame;
    const long descriptor = PyLong_AsLong(fileno);
    if (descriptor == -1 && PyErr_Occurred()) {
        Py_DECREF(frame);
        return NULL;
    }
    const Py_ssize_t size = PyBytes_GET_SIZE(frame);
    ssize_t sent = send((int)descriptor, PyBytes_AS_STRING(frame), (size_t)size,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == size) {
        Py_DECREF(frame);
        return PyLong_FromSsize_t(size);
    }
    if (sent < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            Py_DECREF(frame);
            return NULL;
        }
        sent = 0;
    }
    return Py_BuildValue("(nN)", (Py_ssize_t)sent, frame);
}

/* As send_short_message_in_python in _short_messages.py. */
static PyObject *
send_short_message(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4) {
        PyErr_Format(PyExc_TypeError, "send_short_message takes 4 arguments, not %zd", count);
        return NULL;
    }
    PyObject *const of_frame[] = {args[3], args[0], args[1]};
    return send_frame(short_frame(module, of_frame, 3), args[2]);
}

/* As send_text_in_python in _short_messages.py. */
static PyObject *
send_text(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_Format(PyExc_TypeError, "send_text takes 5 arguments, not %zd", count);
        return NULL;
    }
    PyObject *const of_frame[] = {args[4], args[0], args[1], args[2]};
    return send_frame(text_frame(module, of_frame, 4), args[3]);
}

#endif /* MS_WINDOWS */

typedef struct {
    PyTypeObject *text; /* `Text` */
} State;

/* As utf8_of_in_python in _payload.py. */
static PyObject *
utf8_of(PyObject *module, PyObject *message)
{
    if (!PyUnicode_Check(message)) {
        PyErr_Format(PyExc_TypeError, "utf8_of takes a str, not %.200s", Py_TYPE(message)->tp_name);
        return NULL;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(message) < 0)
        return NULL;
#endif
    if (!PyUnicode_IS_ASCII(message))
        return encoded_utf8(message);
    State *state = PyModule_GetState(module);
    Text *text = PyObject_New(Text, state->text);
    if (text == NULL)
        return NULL;
    Py_INCREF(message);
    text->text = message;
    PyObject *view = PyMemoryView_FromObject((PyObject *)text);
    Py_DECREF(text);
    return view;
}

/* As decode_utf8_in_python in _payload.py. */
static PyObject *
decode_utf8(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyUnicode_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError,
                        "decode_utf8 takes bytes and the name of a way to treat bad UTF-8");
        return NULL;
    }
    const char *errors = PyUnicode_AsUTF8(args[1]);
    Py_buffer data;
    if (errors == NULL || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    Utf8 text = {0, 0};
    PyObject *result;
    if (look_at_utf8(&text, data.buf, 0, data.len) && text.most >= 0x80 &&
        unfinished_utf8(data.buf, data.len) == 0)
        result = decoded_utf8(&text, data.buf, data.len);
    else
        result = PyUnicode_DecodeUTF8(data.buf, data.len, errors);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef functions[] = {
    {"take_short_messages", (PyCFunction)(void (*)(void))take_short_messages, METH_FASTCALL,
     PyDoc_STR("take_short_messages(data, position, events, masked, longest, utf8_errors, most, "
               "/)\n--\n\n"
               "Adds the whole short messages that begin at `position` to `events`, `most` of them\n"
               "at most; says where the rest begins.")},
    {"take_texts", (PyCFunction)(void (*)(void))take_texts, METH_FASTCALL,
     PyDoc_STR("take_texts(data, position, events, start, end, longest, most, /)\n--\n\n"
               "Adds the whole texts that begin at `position` to `events`, `most` of them at most;\n"
               "says where the rest begins.")},
    {"text_frame", (PyCFunction)(void (*)(void))text_frame, METH_FASTCALL,
     PyDoc_STR("text_frame(message, start, end, longest, /)\n--\n\n"
               "A text in its frame; None for what is no short text.")},
    {"short_frame", (PyCFunction)(void (*)(void))short_frame, METH_FASTCALL,
     PyDoc_STR("short_frame(message, longest, new_key, /)\n--\n\n"
               "A short message in one frame; None for what is none.")},
    {"apply_mask", (PyCFunction)(void (*)(void))apply_mask, METH_FASTCALL,
     PyDoc_STR("apply_mask(payload, key, offset=0, /)\n--\n\n"
               "`payload` XOR `key`, repeated, beginning `offset` bytes into it.")},
    {"utf8_of", (PyCFunction)utf8_of, METH_O,
     PyDoc_STR("utf8_of(text, /)\n--\n\n"
               "The UTF-8 of a text: a view of its own memory if it is ASCII, else bytes.")},
    {"decode_utf8", (PyCFunction)(void (*)(void))decode_utf8, METH_FASTCALL,
     PyDoc_STR("decode_utf8(data, errors, /)\n--\n\n"
               "As bytes.decode, for what is long and may not be ASCII.")},
#ifndef MS_WINDOWS
    {"receive_short_messages", (PyCFunction)(void (*)(void))receive_short_messages, METH_FASTCALL,
     PyDoc_STR("receive_short_messages(masked, longest, utf8_errors, fileno, events, /)\n--\n\n"
               "Receives once, and adds the whole short messages that came to `events`; returns\n"
               "how many bytes came, and those behind the messages, if any.")},
    {"receive_texts", (PyCFunction)(void (*)(void))receive_texts, METH_FASTCALL,
     PyDoc_STR("receive_texts(start, end, longest, fileno, events, /)\n--\n\n"
               "As receive_short_messages, for texts.")},
    {"send_short_message", (PyCFunction)(void (*)(void))send_short_message, METH_FASTCALL,
     PyDoc_STR("send_short_message(longest, new_key, fileno, message, /)\n--\n\n"
               "Frames and sends a short message; returns how many bytes were sent, and the frame\n"
               "if that is not all; None for what is no short message.")},
    {"send_text", (PyCFunction)(void (*)(void))send_text, METH_FASTCALL,
     PyDoc_STR("send_text(start, end, longest, fileno, message, /)\n--\n\n"
               "As send_short_message, for a text.")},
#endif
    {NULL, NULL, 0, NULL},
};

/* Adds the types. */
static int
execute(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->text = (PyTypeObject *)PyType_FromModuleAndSpec(module, &text_spec, NULL);
    if (state->text == NULL || PyModule_AddType(module, state->text) < 0)
        return -1;
    PyObject *payload = PyType_FromModuleAndSpec(module, &payload_spec, NULL);
    if (payload == NULL)
        return -1;
    const int added = PyModule_AddType(module, (PyTypeObject *)payload);
    Py_DECREF(payload);
    return added;
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->text);
    return 0;
}

static int
clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->text);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_mod_gil
    /* There is nothing here that two threads share: a Payload is one connection's. */
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "speedups",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC
PyInit_speedups(void)
{
    return PyModuleDef_Init(&definition);
}
