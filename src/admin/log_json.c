#include "admin/log_json.h"

#include <time.h>

/* One field on its way: what was read of its value is without quotes and escapes here. */
struct field {
    struct slice key;
    uint8_t value[LOG_LINE_MAX];
    size_t n;
    bool quoted;
};

static const char *level_name(enum log_level level) {
    static const char *const names[] = {"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};
    return names[min_size((size_t)level, ARRAY_LEN(names) - 1)];
}

void log_json_time(struct str *to, int64_t wall) {
    time_t sec = (time_t)(wall / 1000000);
    struct tm tm;
    char text[40];
    gmtime_r(&sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    str_format(to, "{\"time\":\"%s.%03dZ\"", text, (int)(wall / 1000 % 1000));
}

static bool is_number(const struct field *f) {
    size_t digits = f->n > 0 && f->value[0] == '-' ? f->n - 1 : f->n;
    const uint8_t *p = f->value + f->n - digits;
    if (f->quoted || digits == 0 || digits > 15 || (p[0] == '0' && digits > 1)) {
        return false;
    }
    while (digits > 0 && p[digits - 1] >= '0' && p[digits - 1] <= '9') {
        digits--;
    }
    return digits == 0;
}

static void put_field(struct str *to, const struct field *f) {
    struct slice value = slice(f->value, f->n);
    str_put(to, ",");
    str_quote(to, f->key);
    str_put(to, ":");
    if (is_number(f)) {
        str_put_slice(to, value);
    } else {
        str_quote(to, value);
    }
}

/* The length of the key that `in` begins with, which '=' ends; 0: none. */
static size_t key_len(struct slice in) {
    size_t n = 0;
    while (n < in.n && ((in.p[n] >= 'a' && in.p[n] <= 'z') || in.p[n] == '_')) {
        n++;
    }
    return n < in.n && in.p[n] == '=' ? n : 0;
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a quoted text, as log_quote wrote it; returns how many it takes. */
static size_t unescape(struct slice in, uint8_t *byte) {
    *byte = in.p[0];
    if (in.p[0] != '\\' || in.n < 2) {
        return 1;
    }
    if (in.p[1] == 'x' && in.n >= 4 && hex_digit(in.p[2]) >= 0 && hex_digit(in.p[3]) >= 0) {
        *byte = (uint8_t)(hex_digit(in.p[2]) << 4 | hex_digit(in.p[3]));
        return 4;
    }
    *byte = in.p[1];
    return 2;
}

/* Adds the value, or the word, that `in` begins with; returns how many bytes of it that were. */
static size_t take_value(struct field *f, struct slice in) {
    size_t at = 0;
    bool quoted = in.n > 0 && in.p[0] == '"';
    f->quoted |= quoted;
    at += quoted;
    while (at < in.n && in.p[at] != (quoted ? '"' : ' ')) {
        uint8_t byte = in.p[at];
        at += quoted ? unescape(slice(in.p + at, in.n - at), &byte) : 1;
        f->value[f->n++] = byte;
    }
    return at + (quoted && at < in.n);
}

void log_json(struct str *to, enum log_level level, int64_t wall, struct slice line) {
    struct field f = {.key = slice_str("event")};
    log_json_time(to, wall);
    str_format(to, ",\"level\":\"%s\"", level_name(level));
    line.n = min_size(line.n, LOG_LINE_MAX);
    while (line.n > 0) {
        size_t key = key_len(line), used = 0;
        if (key > 0) {
            put_field(to, &f);
            f = (struct field){.key = slice(line.p, key)};
            used = key + 1;
        } else if (f.n > 0) {
            f.value[f.n++] = ' ';
        }
        used += take_value(&f, slice(line.p + used, line.n - used));
        used += used < line.n; /* the blank behind it */
        line = slice(line.p + used, line.n - used);
    }
    put_field(to, &f);
    str_put(to, "}");
}
