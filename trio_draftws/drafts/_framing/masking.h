/* Masks over payload, a word of eight bytes at a time; `apply_mask` does what masking.py does.

   Words are copied in and out with memcpy, since they may lie at any address; compilers turn that
   into a single instruction. Needs WORD of utf8.h. */

#include <Python.h>
#include <stdint.h>
#include <string.h>

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

/* Masks `size` bytes. `to` is `from` or does not overlap it; `at` is where to begin in the key. */
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

/* Masks bytes in place, with a key of four; returns whether the result is ASCII. */
static int
mask_in_place(unsigned char *at, Py_ssize_t size, const unsigned char *key, Py_ssize_t offset)
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
