/* What the package does in C if this was built: masks, short messages, long payloads. Each function
   does what its twin in Python does, in masking.py, fast_path.py, short_io.py and payload.py.

   It does not use the stable API, which has buffers only from Python 3.11 on. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* In this order: each uses what the ones before it define. */
#include "utf8.h"
#include "masking.h"
#include "payload.h"
#include "short_messages.h"
#include "short_io.h"

typedef struct {
    PyTypeObject *text; /* `Text` */
} State;

/* Does what utf8_of_in_python in payload.py does. */
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

/* Does what decode_utf8_in_python in payload.py does. */
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

/* Does what unchecked_utf8_in_python in payload.py does. */
static PyObject *
unchecked_utf8(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[0]) || PyBytes_GET_SIZE(args[0]) > 3) {
        PyErr_SetString(PyExc_TypeError,
                        "unchecked_utf8 takes at most 3 bytes of a character, and what follows");
        return NULL;
    }
    Py_buffer part;
    if (PyObject_GetBuffer(args[1], &part, PyBUF_SIMPLE) < 0)
        return NULL;
    unsigned char both[6];
    const int begun = (int)PyBytes_GET_SIZE(args[0]);
    memcpy(both, PyBytes_AS_STRING(args[0]), (size_t)begun);
    PyObject *result;
    if (!can_follow_utf8(both, begun, part.buf, part.len)) {
        Py_INCREF(Py_None);
        result = Py_None;
    }
    else {
        /* A short part may leave the character as unfinished as it was. */
        const unsigned char *end = part.len < 3 ? both : part.buf;
        const Py_ssize_t size = part.len < 3 ? begun + part.len : part.len;
        const int unfinished = unfinished_utf8(end, size);
        result = PyBytes_FromStringAndSize((const char *)end + size - unfinished, unfinished);
    }
    PyBuffer_Release(&part);
    return result;
}

static PyMethodDef functions[] = {
    {"take_short_messages", (PyCFunction)(void (*)(void))take_short_messages, METH_FASTCALL,
     PyDoc_STR("take_short_messages(data, position, events, masked, longest, utf8_errors, most, "
               "/)\n--\n\n"
               "Adds the whole short messages that begin at `position` to `events`, `most` of them\n"
               "at most; returns where the rest begins.")},
    {"take_texts", (PyCFunction)(void (*)(void))take_texts, METH_FASTCALL,
     PyDoc_STR("take_texts(data, position, events, start, end, longest, most, /)\n--\n\n"
               "Adds the whole texts that begin at `position` to `events`, `most` of them at\n"
               "most; returns where the rest begins.")},
    {"text_frame", (PyCFunction)(void (*)(void))text_frame, METH_FASTCALL,
     PyDoc_STR("text_frame(message, start, end, longest, /)\n--\n\n"
               "The frame of a short text; None for anything else.")},
    {"short_frame", (PyCFunction)(void (*)(void))short_frame, METH_FASTCALL,
     PyDoc_STR("short_frame(message, longest, new_key, /)\n--\n\n"
               "The frame of a short message; None for anything else.")},
    {"apply_mask", (PyCFunction)(void (*)(void))apply_mask, METH_FASTCALL,
     PyDoc_STR("apply_mask(payload, key, offset=0, /)\n--\n\n"
               "`payload` XOR `key`, repeated, beginning `offset` bytes into it.")},
    {"utf8_of", (PyCFunction)utf8_of, METH_O,
     PyDoc_STR("utf8_of(text, /)\n--\n\n"
               "The UTF-8 of a text: a view of its own memory if it is ASCII, else bytes.")},
    {"decode_utf8", (PyCFunction)(void (*)(void))decode_utf8, METH_FASTCALL,
     PyDoc_STR("decode_utf8(data, errors, /)\n--\n\n"
               "Like bytes.decode, but faster for long text that is not ASCII.")},
    {"unchecked_utf8", (PyCFunction)(void (*)(void))unchecked_utf8, METH_FASTCALL,
     PyDoc_STR("unchecked_utf8(before, part, /)\n--\n\n"
               "Looks at text that goes on behind `before`; returns the start of a character at\n"
               "its end, or None if no further bytes can make UTF-8 of it.")},
#ifndef MS_WINDOWS
    {"receive_short_messages", (PyCFunction)(void (*)(void))receive_short_messages, METH_FASTCALL,
     PyDoc_STR("receive_short_messages(masked, longest, utf8_errors, fileno, events, /)\n--\n\n"
               "Receives once, and adds the whole short messages that came to `events`; returns\n"
               "how many bytes came, and those behind the messages, if any.")},
    {"receive_texts", (PyCFunction)(void (*)(void))receive_texts, METH_FASTCALL,
     PyDoc_STR("receive_texts(start, end, longest, fileno, events, /)\n--\n\n"
               "Like receive_short_messages, for drafts without opcodes.")},
    {"send_short_message", (PyCFunction)(void (*)(void))send_short_message, METH_FASTCALL,
     PyDoc_STR("send_short_message(longest, new_key, fileno, message, /)\n--\n\n"
               "Frames and sends a short message; returns how many bytes were sent, with the frame\n"
               "if that is not all of it, or None if it is no short message.")},
    {"send_text", (PyCFunction)(void (*)(void))send_text, METH_FASTCALL,
     PyDoc_STR("send_text(start, end, longest, fileno, message, /)\n--\n\n"
               "Like send_short_message, for drafts without opcodes.")},
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
    /* There is nothing here that interpreters or threads share: types are kept in the state of the
       module, and a Payload is one connection's. */
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
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
