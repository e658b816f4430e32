/* Receiving and sending short messages in one step: what short_io.py does in Python. Needs
   short_messages.h. Windows has no descriptors for sockets. */

#ifndef MS_WINDOWS

#include <Python.h>
#include <errno.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE. */
#endif

/* What trio's streams read at once */
#define RECEIVE_SIZE 16384
/* MOST_AT_ONCE in codec.py */
#define MOST_AT_ONCE 256

/* Receives once, without ever blocking; -1 with an error set, or without one if nothing is there. */
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

/* The result of a receive: how much was received, with the bytes that were not taken, if any. */
static PyObject *
received(const unsigned char *buffer, Py_ssize_t size, Py_ssize_t position)
{
    if (position < 0)
        return NULL;
    if (position == size)
        return PyLong_FromSsize_t(size);
    return Py_BuildValue("(ny#)", size, (const char *)buffer + position, size - position);
}

/* Does what receive_short_messages_in_python in short_io.py does. */
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

/* Does what receive_texts_in_python in short_io.py does. */
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

/* Does what send_short_message_in_python in short_io.py does. */
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

/* Does what send_text_in_python in short_io.py does. */
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
