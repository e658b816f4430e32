/* UTF-8 of long texts: looked at as it comes, and turned into what Python keeps.

   Python's own functions, which do one character after the other, take up to ten times as long for
   text that is not ASCII, and decode to look. Looking has no branches here, so that compilers make
   vectors of it; decoding does eight bytes, or four characters of two bytes, a word at a time. */

#include <Python.h>
#include <stdint.h>
#include <string.h>

/* As C99 has it; MSVC knows that word only with a switch. */
#ifdef _MSC_VER
#define RESTRICT __restrict
#else
#define RESTRICT restrict
#endif

#define WORD ((Py_ssize_t)sizeof(uint64_t))
#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))
#define EACH_PAIR(pair) (UINT64_C(0x0001000100010001) * (pair))

/* So many can be counted in a byte: compilers then count in vectors of bytes. */
enum { BLOCK = 128 };

/* Where the first of two bytes is not the lower half of a pair, they are taken one by one. */
#if PY_LITTLE_ENDIAN
enum { PAIRS_AT_ONCE = 1 };
#else
enum { PAIRS_AT_ONCE = 0 };
#endif

static inline uint64_t
load_word(const void *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static inline int
is_ascii_word(uint64_t word)
{
    return (word & EACH_BYTE(0x80)) == 0;
}

/* Whether `byte` is wrong behind the three before it, of which `last` is the nearest: RFC 3629
   section 4. Those that continue a character have to be just where a lead wants them. C0, C1 and F5
   on lead nothing, and some leads say more of the next byte. */
static inline unsigned char
is_wrong(unsigned char third, unsigned char second, unsigned char last, unsigned char byte)
{
    const unsigned char wanted = (last >= 0xC0) | (second >= 0xE0) | (third >= 0xF0);
    const unsigned char continues = (byte & 0xC0) == 0x80;
    const unsigned char leads_nothing = ((byte & 0xFE) == 0xC0) | (byte >= 0xF5);
    const unsigned char too_low =
        ((last == 0xE0) & (byte < 0xA0)) | ((last == 0xF0) & (byte < 0x90));
    const unsigned char too_high =
        ((last == 0xED) & (byte >= 0xA0)) | ((last == 0xF4) & (byte >= 0x90));
    return (wanted ^ continues) | leads_nothing | too_low | too_high;
}

/* What is known of a text so far. */
typedef struct {
    Py_ssize_t characters; /* How many have begun */
    unsigned char most;    /* The greatest byte, which tells how wide they are */
} Utf8;

/* As is_wrong, where no byte is E0 or more: there are characters of one and two bytes. */
static inline unsigned char
is_wrong_in_pairs(unsigned char last, unsigned char byte)
{
    const unsigned char continues = (byte & 0xC0) == 0x80;
    return ((last >= 0xC0) ^ continues) | ((byte & 0xFE) == 0xC0);
}

/* Looks at `data` from `at` on, what is before that having been looked at; 0 if no further bytes
   can make UTF-8 of it. */
static int
look_at_utf8(Utf8 *text, const unsigned char *data, Py_ssize_t at, Py_ssize_t size)
{
    unsigned char wrong = 0;
    for (; at < size && at < 3; at++) {
        wrong |= is_wrong(0, at > 1 ? data[at - 2] : 0, at > 0 ? data[at - 1] : 0, data[at]);
        text->most = data[at] > text->most ? data[at] : text->most;
        text->characters += (data[at] & 0xC0) != 0x80;
    }
    while (at < size) {
        const Py_ssize_t end = size - at < BLOCK ? size : at + BLOCK;
        unsigned char begun = 0, most = 0;
        for (Py_ssize_t i = at; i < end; i++)
            most = data[i] > most ? data[i] : most;
        if (most < 0xE0 && data[at - 1] < 0xE0 && data[at - 2] < 0xE0 && data[at - 3] < 0xF0) {
            if (most < 0x80 && data[at - 1] < 0xC0) {
                text->characters += end - at;
                at = end;
                continue;
            }
            for (; at < end; at++) {
                wrong |= is_wrong_in_pairs(data[at - 1], data[at]);
                begun = (unsigned char)(begun + ((data[at] & 0xC0) != 0x80));
            }
        }
        else {
            for (; at < end; at++) {
                wrong |= is_wrong(data[at - 3], data[at - 2], data[at - 1], data[at]);
                begun = (unsigned char)(begun + ((data[at] & 0xC0) != 0x80));
            }
        }
        text->characters += begun;
        text->most = most > text->most ? most : text->most;
    }
    return !wrong;
}

/* How many bytes at the end begin a character of which more is to come. */
static int
unfinished_utf8(const unsigned char *data, Py_ssize_t size)
{
    for (int back = 1; back <= 3 && back <= size; back++) {
        const unsigned char byte = data[size - back];
        const int length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
        if (length > back)
            return back;
    }
    return 0;
}

/* Whether `more` can follow a character that has begun: `both` holds that, with room for the first
   three bytes of `more`, which are seen from behind it and are put there. */
static int
can_follow_utf8(unsigned char both[6], int begun, const unsigned char *more, Py_ssize_t size)
{
    Utf8 text = {0, 0};
    const Py_ssize_t few = Py_MIN(size, 3);
    if (few > 0)
        memcpy(both + begun, more, (size_t)few);
    return look_at_utf8(&text, both, 0, begun + few) && look_at_utf8(&text, more, few, size);
}

/* Whether these are four characters of two bytes each, if it is UTF-8. */
static inline int
is_four_pairs(uint64_t word)
{
    return (word & EACH_PAIR(0xC0E0)) == EACH_PAIR(0x80C0);
}

/* Decodes what is known to be UTF-8, for each of the widths in which Python keeps characters. */
#define DEFINE_DECODE(NAME, UCS)                                                                   \
    static void NAME(UCS *RESTRICT to, const unsigned char *RESTRICT from,                         \
                     const unsigned char *end)                                                     \
    {                                                                                              \
        uint64_t word;                                                                             \
        while (from < end) {                                                                       \
            const Py_UCS4 lead = from[0];                                                          \
            if (lead < 0x80 && end - from >= WORD && is_ascii_word(load_word(from))) {             \
                do {                                                                               \
                    for (int i = 0; i < WORD; i++)                                                 \
                        to[i] = from[i];                                                           \
                    to += WORD;                                                                    \
                    from += WORD;                                                                  \
                } while (end - from >= WORD && is_ascii_word(load_word(from)));                    \
            }                                                                                      \
            else if (lead < 0x80) {                                                                \
                *to++ = (UCS)lead;                                                                 \
                from += 1;                                                                         \
            }                                                                                      \
            else if (lead < 0xE0) {                                                                \
                if (!(PAIRS_AT_ONCE && end - from >= WORD && is_four_pairs(load_word(from)))) {    \
                    *to++ = (UCS)((lead & 0x1F) << 6 | (from[1] & 0x3F));                          \
                    from += 2;                                                                     \
                    continue;                                                                      \
                }                                                                                  \
                while (PAIRS_AT_ONCE && end - from >= WORD &&                                      \
                       is_four_pairs(word = load_word(from))) {                                    \
                    word = (word & EACH_PAIR(0x1F)) << 6 | (word >> 8 & EACH_PAIR(0x3F));          \
                    if (sizeof(UCS) == 2) {                                                        \
                        memcpy(to, &word, sizeof word);                                            \
                    }                                                                              \
                    else if (sizeof(UCS) == 1) {                                                   \
                        word = (word | word >> 8) & UINT64_C(0x0000FFFF0000FFFF);                  \
                        word |= word >> 16;                                                        \
                        memcpy(to, &word, 4);                                                      \
                    }                                                                              \
                    else {                                                                         \
                        for (int i = 0; i < 4; i++)                                                \
                            to[i] = (UCS)(word >> 16 * i & 0xFFFF);                                \
                    }                                                                              \
                    to += 4;                                                                       \
                    from += WORD;                                                                  \
                }                                                                                  \
            }                                                                                      \
            else if (lead < 0xF0) {                                                                \
                *to++ = (UCS)((lead & 0x0F) << 12 | (from[1] & 0x3F) << 6 | (from[2] & 0x3F));     \
                from += 3;                                                                         \
            }                                                                                      \
            else {                                                                                 \
                *to++ = (UCS)((lead & 0x07) << 18 | (from[1] & 0x3F) << 12 |                       \
                              (from[2] & 0x3F) << 6 | (from[3] & 0x3F));                           \
                from += 4;                                                                         \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_DECODE(decode_ucs1, Py_UCS1)
DEFINE_DECODE(decode_ucs2, Py_UCS2)
DEFINE_DECODE(decode_ucs4, Py_UCS4)

/* The text whose bytes were all looked at, and which has ended. */
static PyObject *
decoded_utf8(const Utf8 *text, const unsigned char *data, Py_ssize_t size)
{
    /* C3 leads up to U+00FF, EF up to U+FFFF. */
    const Py_UCS4 widest = text->most < 0x80   ? 0x7F
                           : text->most < 0xC4 ? 0xFF
                           : text->most < 0xF0 ? 0xFFFF
                                               : 0x10FFFF;
    PyObject *result = PyUnicode_New(text->characters, widest);
    if (result == NULL || text->characters == 0)
        return result;
    switch (PyUnicode_KIND(result)) {
    case PyUnicode_1BYTE_KIND:
        decode_ucs1(PyUnicode_1BYTE_DATA(result), data, data + size);
        break;
    case PyUnicode_2BYTE_KIND:
        decode_ucs2(PyUnicode_2BYTE_DATA(result), data, data + size);
        break;
    default:
        decode_ucs4(PyUnicode_4BYTE_DATA(result), data, data + size);
    }
    return result;
}

/* Four characters as pairs, if each of them takes two bytes in UTF-8. */
static inline int
four_for_pairs(const void *from, size_t width, uint64_t *pairs)
{
    if (width == 2) {
        const uint64_t word = load_word(from);
        *pairs = word;
        /* Below 0800, and with one of the bits 0780 */
        return ((word & EACH_PAIR(0xF800)) |
                (~((word & EACH_PAIR(0x0780)) + EACH_PAIR(0x7F80)) & EACH_PAIR(0x8000))) == 0;
    }
    uint32_t four;
    memcpy(&four, from, sizeof four);
    uint64_t word = four;
    word = (word | word << 16) & UINT64_C(0x0000FFFF0000FFFF);
    *pairs = (word | word << 8) & EACH_PAIR(0xFF);
    return (four & UINT32_C(0x80808080)) == UINT32_C(0x80808080);
}

/* Encodes, for the two narrower widths: what is wider goes to Python. There is room for it. */
#define DEFINE_ENCODE(NAME, UCS)                                                                   \
    static void NAME(unsigned char *RESTRICT to, const UCS *RESTRICT from, const UCS *end)         \
    {                                                                                              \
        uint64_t word;                                                                             \
        while (from < end) {                                                                       \
            const Py_UCS4 character = *from;                                                       \
            if (sizeof(UCS) == 1 && character < 0x80 && end - from >= WORD &&                      \
                is_ascii_word(load_word(from))) {                                                  \
                do {                                                                               \
                    memcpy(to, from, (size_t)WORD);                                                \
                    to += WORD;                                                                    \
                    from += WORD;                                                                  \
                } while (end - from >= WORD && is_ascii_word(load_word(from)));                    \
            }                                                                                      \
            else if (character < 0x80) {                                                           \
                *to++ = (unsigned char)character;                                                  \
                from++;                                                                            \
            }                                                                                      \
            else if (character < 0x800) {                                                          \
                if (!(PAIRS_AT_ONCE && end - from >= 4 &&                                          \
                      four_for_pairs(from, sizeof(UCS), &word))) {                                 \
                    *to++ = (unsigned char)(0xC0 | character >> 6);                                \
                    *to++ = (unsigned char)(0x80 | (character & 0x3F));                            \
                    from++;                                                                        \
                    continue;                                                                      \
                }                                                                                  \
                while (PAIRS_AT_ONCE && end - from >= 4 &&                                         \
                       four_for_pairs(from, sizeof(UCS), &word)) {                                 \
                    word = (word >> 6 & EACH_PAIR(0x1F)) | (word & EACH_PAIR(0x3F)) << 8 |         \
                           EACH_PAIR(0x80C0);                                                      \
                    memcpy(to, &word, sizeof word);                                                \
                    to += WORD;                                                                    \
                    from += 4;                                                                     \
                }                                                                                  \
            }                                                                                      \
            else {                                                                                 \
                *to++ = (unsigned char)(0xE0 | character >> 12);                                   \
                *to++ = (unsigned char)(0x80 | (character >> 6 & 0x3F));                           \
                *to++ = (unsigned char)(0x80 | (character & 0x3F));                                \
                from++;                                                                            \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_ENCODE(encode_ucs1, Py_UCS1)
DEFINE_ENCODE(encode_ucs2, Py_UCS2)

/* How many of these are not ASCII. */
static size_t
beyond_ascii(const Py_UCS1 *data, Py_ssize_t length)
{
    size_t found = 0;
    for (Py_ssize_t at = 0; at < length;) {
        const Py_ssize_t end = length - at < BLOCK ? length : at + BLOCK;
        unsigned char more = 0;
        for (; at < end; at++)
            more += data[at] >> 7;
        found += more;
    }
    return found;
}

/* The UTF-8 of a text. */
static PyObject *
encoded_utf8(PyObject *text)
{
    const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    size_t size = (size_t)length; /* At most three times that, and Python's texts are shorter */
    unsigned char surrogates = 0;
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        size += beyond_ascii(PyUnicode_1BYTE_DATA(text), length);
    }
    else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND) {
        const Py_UCS2 *data = PyUnicode_2BYTE_DATA(text);
        for (Py_ssize_t at = 0; at < length;) {
            const Py_ssize_t end = length - at < BLOCK ? length : at + BLOCK;
            Py_UCS2 more = 0, wrong = 0;
            for (; at < end; at++) {
                more = (Py_UCS2)(more + (data[at] >= 0x80) + (data[at] >= 0x800));
                wrong |= (data[at] & 0xF800) == 0xD800;
            }
            size += more;
            surrogates |= wrong != 0;
        }
    }
    else {
        surrogates = 1;
    }
    if (surrogates || size > (size_t)PY_SSIZE_T_MAX)
        /* Python says what is wrong, if anything is. */
        return PyUnicode_AsUTF8String(text);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (result == NULL)
        return NULL;
    unsigned char *to = (unsigned char *)PyBytes_AS_STRING(result);
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        const Py_UCS1 *data = PyUnicode_1BYTE_DATA(text);
        encode_ucs1(to, data, data + length);
    }
    else {
        const Py_UCS2 *data = PyUnicode_2BYTE_DATA(text);
        encode_ucs2(to, data, data + length);
    }
    return result;
}
