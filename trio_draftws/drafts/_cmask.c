/* Masks in C: what _masking.py says, a word of eight bytes at a time.

   The package works without this file: _masking.py takes what it finds. Not in the stable API,
   which has buffers only from Python 3.11 on. Words are copied in and out with memcpy: they lie at
   any address, and compilers make of it the one instruction that it is. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define WORD ((Py_ssize_t)sizeof(uint64_t))
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

/* `to` and `from` are apart; `at` is a place in the key. */
static void
mask_bytes(unsigned char *restrict to, const unsigned char *restrict from, Py_ssize_t size,
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

static PyObject *
mask_in_place(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "mask_in_place takes 3 arguments, not %zd", count);
        return NULL;
    }
    Py_ssize_t offset = PyLong_AsSsize_t(args[2]);
    if (offset == -1 && PyErr_Occurred())
        return NULL;
    Py_buffer payload, key;
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_WRITABLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    PyObject *is_ascii = NULL;
    if (key.len != 4 || offset < 0)
        PyErr_SetString(PyExc_ValueError, "the key must have four bytes, and the offset be one");
    else
        is_ascii = PyBool_FromLong(
            mask_where_it_lies(payload.buf, payload.len, key.buf, offset % 4));
    PyBuffer_Release(&key);
    PyBuffer_Release(&payload);
    return is_ascii;
}

static PyObject *
unmask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    const Py_ssize_t key_size = 4;
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "unmask takes 3 arguments, not %zd", count);
        return NULL;
    }
    if (!PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "unmask takes bytes");
        return NULL;
    }
    const Py_ssize_t begin = PyLong_AsSsize_t(args[1]);
    if (begin == -1 && PyErr_Occurred())
        return NULL;
    const Py_ssize_t end = PyLong_AsSsize_t(args[2]);
    if (end == -1 && PyErr_Occurred())
        return NULL;
    if (begin < key_size || end < begin || end > PyBytes_GET_SIZE(args[0])) {
        PyErr_SetString(PyExc_IndexError, "there is no such payload with a key before it");
        return NULL;
    }
    const unsigned char *from = (const unsigned char *)PyBytes_AS_STRING(args[0]) + begin;
    PyObject *result = PyBytes_FromStringAndSize(NULL, end - begin);
    if (result == NULL)
        return NULL;
    mask_bytes((unsigned char *)PyBytes_AS_STRING(result), from, end - begin, from - key_size,
               key_size, 0);
    return result;
}

static PyMethodDef functions[] = {
    {"mask_in_place", (PyCFunction)(void (*)(void))mask_in_place, METH_FASTCALL,
     PyDoc_STR("mask_in_place(payload, key, offset, /)\n--\n\n"
               "Masks `payload` where it lies; says whether it is ASCII then.")},
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL,
     PyDoc_STR("unmask(data, begin, end, /)\n--\n\n"
               "`data[begin:end]` XOR the four bytes before it, repeated.")},
    {"apply_mask", (PyCFunction)(void (*)(void))apply_mask, METH_FASTCALL,
     PyDoc_STR("apply_mask(payload, key, offset=0, /)\n--\n\n"
               "`payload` XOR `key`, repeated, beginning `offset` bytes into it.")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},  /* There is nothing here that two threads could share. */
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_cmask",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__cmask(void)
{
    return PyModuleDef_Init(&definition);
}
