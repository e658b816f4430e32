/* Request heads in C: those that today's clients send. What is unusual is None here, and left to
   the parser in Python: `request.py` and `_fast_handshake.py` say what holds for every head.

   The package works without this file: those two take it if it was built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

/* As MAX_LINE and MAX_FIELDS in head.py. */
#define LONGEST_LINE 8192
#define MOST_FIELDS 100
/* `A / HTTP/1.1`, with at least one character of each. */
#define SHORTEST_LINE 12

/* What a byte may be a part of. */
#define TOKEN 1   /* RFC 9110 section 5.6.2 */
#define VALUE 2   /* RFC 9110 section 5.5: no control character but the tab */
#define LINE 4    /* of a request line: no control character */
#define TARGET 8  /* RFC 9112 section 3.2: ASCII, and no space */
#define NAME 16   /* a host's: RFC 3986 section 3.2.2, without its comma */
#define ADDRESS 32 /* in brackets */
#define BASE64 64
#define DIGIT 128

/* Laid out as ASCII is, a letter for each combination there is. It is a constant: what all
   interpreters and threads of a process share is only read. */
#define O 0
#define T VALUE
#define A (VALUE | LINE) /* the space, and what is not ASCII */
#define V (A | TARGET)
#define W (V | TOKEN)
#define X (V | NAME)
#define C (V | ADDRESS)
#define S (V | BASE64)
#define N (V | TOKEN | NAME)
#define P (N | ADDRESS)
#define L (N | BASE64)
#define H (L | ADDRESS)
#define D (H | DIGIT)
static const unsigned char kinds[256] = {
    O, O, O, O, O, O, O, O, O, T, O, O, O, O, O, O,
    O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    A, N, V, W, N, N, N, N, X, X, N, L, V, N, P, S, /*  !"#$%&'()*+,-./ */
    D, D, D, D, D, D, D, D, D, D, C, X, V, X, V, V, /* 0123456789:;<=>? */
    V, H, H, H, H, H, H, L, L, L, L, L, L, L, L, L, /* @ABCDEFGHIJKLMNO */
    L, L, L, L, L, L, L, L, L, L, L, V, V, V, W, N, /* PQRSTUVWXYZ[\]^_ */
    W, H, H, H, H, H, H, L, L, L, L, L, L, L, L, L, /* `abcdefghijklmno */
    L, L, L, L, L, L, L, L, L, L, L, V, W, V, N, O, /* pqrstuvwxyz{|}~ */
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
};
#undef O
#undef T
#undef A
#undef V
#undef W
#undef X
#undef C
#undef S
#undef N
#undef P
#undef L
#undef H
#undef D

typedef struct {
    const char *at;
    Py_ssize_t size;
} Span;

static inline int
is(char byte, int kind)
{
    return kinds[(unsigned char)byte] & kind;
}

static inline int
lowered(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/* Whether it is `text`, which is in lower case, without regard to case. */
static int
says(Span span, const char *text)
{
    const Py_ssize_t size = (Py_ssize_t)strlen(text);
    if (span.size != size)
        return 0;
    for (Py_ssize_t i = 0; i < size; i++)
        if (lowered(span.at[i]) != text[i])
            return 0;
    return 1;
}

static Span
stripped(Span span)
{
    while (span.size && (*span.at == ' ' || *span.at == '\t')) {
        span.at++;
        span.size--;
    }
    while (span.size && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t'))
        span.size--;
    return span;
}

static inline int
at_line_end(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n';
}

/* Takes the request line, without its end; NULL if it is none. */
static const char *
take_line(const char *at, const char *end, Span *line)
{
    line->at = at;
    while (at < end && is(*at, LINE))
        at++;
    line->size = at - line->at;
    if (!at_line_end(at, end) || line->size > LONGEST_LINE || line->size < SHORTEST_LINE)
        return NULL;
    const char *method = line->at, *version = at - 8;
    while (method < at && is(*method, TOKEN))
        method++;
    if (method == line->at || *method != ' ')
        return NULL;
    if (version <= method || memcmp(version, "HTTP/1.", 7) || !is(version[7], DIGIT) ||
        version[-1] != ' ')
        return NULL;
    /* Between the two, something has to be asked for. */
    for (const char *target = method; target < version; target++)
        if (*target != ' ')
            return at + 2;
    return NULL;
}

/* Takes a field; NULL if it is none. Of a value's spaces only the one after the colon is gone. */
static const char *
take_field(const char *at, const char *end, Span *name, Span *value)
{
    name->at = at;
    while (at < end && is(*at, TOKEN))
        at++;
    name->size = at - name->at;
    if (!name->size || at == end || *at != ':')
        return NULL;
    at++;
    if (at < end && *at == ' ')
        at++;
    value->at = at;
    while (at < end && is(*at, VALUE))
        at++;
    value->size = at - value->at;
    return at_line_end(at, end) ? at + 2 : NULL;
}

/* Adds a field to the values of its name, which is read without regard to case. */
static int
add_value(PyObject *values, Span name, PyObject *value)
{
    PyObject *key = PyUnicode_New(name.size, 127);
    if (key == NULL)
        return -1;
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(key);
    for (Py_ssize_t i = 0; i < name.size; i++)
        to[i] = (Py_UCS1)lowered(name.at[i]);
    int failed = -1;
    PyObject *known = PyDict_GetItemWithError(values, key);
    if (known != NULL)
        failed = PyList_Append(known, value);
    else if (!PyErr_Occurred()) {
        PyObject *fresh = PyList_New(1);
        if (fresh != NULL) {
            Py_INCREF(value);
            PyList_SET_ITEM(fresh, 0, value);
            failed = PyDict_SetItem(values, key, fresh);
            Py_DECREF(fresh);
        }
    }
    Py_DECREF(key);
    return failed;
}

static PyObject *
pair_of(Span name, Span value)
{
    PyObject *first = PyBytes_FromStringAndSize(name.at, name.size), *pair = NULL;
    PyObject *second = PyBytes_FromStringAndSize(value.at, value.size);
    if (first != NULL && second != NULL)
        pair = PyTuple_Pack(2, first, second);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}

/* As parse_request_head in request.py. */
static PyObject *
split_request(PyObject *Py_UNUSED(module), PyObject *head)
{
    if (!PyBytes_Check(head)) {
        PyErr_Format(PyExc_TypeError, "a head is bytes, not %s", Py_TYPE(head)->tp_name);
        return NULL;
    }
    const char *begin = PyBytes_AS_STRING(head), *end = begin + PyBytes_GET_SIZE(head);
    Span line;
    const char *at = take_line(begin, end, &line);
    if (at == NULL)
        Py_RETURN_NONE;
    PyObject *fields = PyList_New(0), *values = PyDict_New(), *found = NULL;
    if (fields == NULL || values == NULL)
        goto done;
    while (!at_line_end(at, end)) {
        Span name, value;
        at = take_field(at, end, &name, &value);
        if (at == NULL || PyList_GET_SIZE(fields) == MOST_FIELDS)
            goto unusual;
        PyObject *pair = pair_of(name, value);
        if (pair == NULL)
            goto done;
        int failed = PyList_Append(fields, pair);
        if (!failed)
            failed = add_value(values, name, PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
        if (failed)
            goto done;
    }
    if (at + 2 != end)
        goto unusual;
    PyObject *raw = PyList_AsTuple(fields);
    if (raw != NULL)
        found = Py_BuildValue("(y#NO)", line.at, line.size, raw, values);
    goto done;
unusual:
    found = Py_None;
    Py_INCREF(found);
done:
    Py_XDECREF(fields);
    Py_XDECREF(values);
    return found;
}

/* The fields that matter to an opening, in the order of `names`. */
enum {
    HOST,
    UPGRADE,
    CONNECTION,
    KEY,
    VERSION,
    ORIGIN,
    PROTOCOL,
    EXTENSIONS,
    COOKIE,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    KNOWN
};
/* Up to here one has to be there, and from there on none may be. */
#define NEEDED ORIGIN
#define SINGLE COOKIE
#define REFUSED CONTENT_LENGTH

static const char *const names[KNOWN] = {
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "origin",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "cookie",
    "content-length",
    "transfer-encoding",
};

static int
is_usual_line(Span line)
{
    if (line.size < 14 || memcmp(line.at, "GET /", 5) ||
        memcmp(line.at + line.size - 9, " HTTP/1.1", 9))
        return 0;
    for (const char *at = line.at + 4; at < line.at + line.size - 9; at++)
        if (!is(*at, TARGET))
            return 0;
    return 1;
}

/* Whether it is a host and perhaps a port, as _HOST in _identify.py. */
static int
is_host(Span host)
{
    const char *at = host.at, *const end = at + host.size;
    int digits = 0;
    if (at < end && *at == '[') {
        const char *const address = ++at;
        while (at < end && is(*at, ADDRESS))
            at++;
        if (at == address || at == end || *at++ != ']')
            return 0;
    }
    else {
        while (at < end && is(*at, NAME))
            at++;
        if (at == host.at)
            return 0;
    }
    if (at < end && *at == ':')
        for (at++; at < end && is(*at, DIGIT) && digits < 5; digits++)
            at++;
    return at == end;
}

static int
has_upgrade(Span list)
{
    const char *const end = list.at + list.size;
    for (const char *at = list.at; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (comma == NULL)
            comma = end;
        if (says(stripped((Span){at, comma - at}), "upgrade"))
            return 1;
        at = comma + 1;
    }
    return 0;
}

/* Whether it stands for sixteen bytes. */
static int
is_key(Span key)
{
    if (key.size != 24 || key.at[22] != '=' || key.at[23] != '=')
        return 0;
    for (Py_ssize_t i = 0; i < 22; i++)
        if (!is(key.at[i], BASE64))
            return 0;
    return 1;
}

static PyObject *
text_or_none(Span span)
{
    if (span.at == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeLatin1(span.at, span.size, NULL);
}

/* As scan_opening_in_python in _fast_handshake.py. */
static PyObject *
scan_opening(PyObject *Py_UNUSED(module), PyObject *data)
{
    if (!PyBytes_Check(data)) {
        PyErr_Format(PyExc_TypeError, "data is bytes, not %s", Py_TYPE(data)->tp_name);
        return NULL;
    }
    const char *begin = PyBytes_AS_STRING(data), *end = begin + PyBytes_GET_SIZE(data);
    Span line, found[KNOWN] = {{NULL, 0}};
    const char *at = take_line(begin, end, &line);
    if (at == NULL || !is_usual_line(line))
        Py_RETURN_NONE;
    for (int count = 0; !at_line_end(at, end); count++) {
        Span name, value;
        at = take_field(at, end, &name, &value);
        if (at == NULL || count == MOST_FIELDS)
            Py_RETURN_NONE;
        for (int known = 0; known < KNOWN; known++) {
            if (!says(name, names[known]))
                continue;
            if (known >= REFUSED || (known < SINGLE && found[known].at != NULL))
                Py_RETURN_NONE;
            found[known] = stripped(value);
        }
    }
    for (int known = 0; known < NEEDED; known++)
        if (found[known].at == NULL)
            Py_RETURN_NONE;
    if (!is_host(found[HOST]) || !says(found[UPGRADE], "websocket") ||
        !has_upgrade(found[CONNECTION]) || !is_key(found[KEY]) || !says(found[VERSION], "13"))
        Py_RETURN_NONE;
    return Py_BuildValue("(nNNNO)", (Py_ssize_t)(at + 2 - begin), text_or_none(found[KEY]),
                         text_or_none(found[PROTOCOL]), text_or_none(found[EXTENSIONS]),
                         found[COOKIE].at == NULL ? Py_False : Py_True);
}

static PyMethodDef functions[] = {
    {"split_request", split_request, METH_O,
     PyDoc_STR("split_request(head, /)\n--\n\n"
               "Line, fields, and the values of each name of a whole head; None if it is unusual.")},
    {"scan_opening", scan_opening, METH_O,
     PyDoc_STR("scan_opening(data, /)\n--\n\n"
               "What a request of today's clients asks for; None if it is unusual.")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
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
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_speedups(void)
{
    return PyModuleDef_Init(&definition);
}
