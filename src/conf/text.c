#include "conf/text.h"

#include "base/mem.h"
#include "base/str.h"

#include <yaml.h>

/* pool, servers, one server, its fields: five are in use, the rest is for messages that say what is wrong. */
#define DEPTH_MAX 16

struct walk {
    yaml_parser_t yaml;
    struct slice text;
    struct conf_problems *problems;
    struct node *root;
    struct node *open[DEPTH_MAX]; /* open[0] is the root, if that is no scalar */
    uint32_t depth;
    uint32_t documents;
    bool failed;
};

static struct place mark_place(yaml_mark_t m) {
    return (struct place){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

static struct place node_place(const struct node *n) {
    return (struct place){n->line, n->column};
}

void node_free(struct node **np) {
    struct node *n = *np;
    *np = NULL;
    /* Children go to the front of the list of what is left: no recursion, however deep the tree. */
    while (n != NULL) {
        struct node *next = n->next;
        if (n->last != NULL) {
            n->last->next = next;
            next = n->first;
        }
        mem_free(n->text);
        mem_free(n);
        n = next;
    }
}

static struct place offset_place(struct slice text, size_t offset) {
    struct place at = {1, 1};
    for (size_t i = 0; i < offset && i < text.n; i++) {
        at.column++;
        if (text.p[i] == '\n') {
            at = (struct place){at.line + 1, 1};
        }
    }
    return at;
}

/* `listen: [::1]:22121` is a list followed by nonsense in YAML; what libyaml says of it helps nobody. */
static bool line_has_brackets(struct slice text, uint32_t line) {
    size_t i = 0;
    for (uint32_t l = 1; l < line && i < text.n; i++) {
        l += text.p[i] == '\n' ? 1 : 0;
    }
    for (; i + 1 < text.n && text.p[i] != '\n'; i++) {
        if (text.p[i] == ']' && text.p[i + 1] == ':') {
            return true;
        }
    }
    return false;
}

static void say_syntax(struct walk *w) {
    const yaml_parser_t *y = &w->yaml;
    const char *what = y->problem != NULL ? y->problem : "the text is broken";
    if (y->error == YAML_READER_ERROR) {
        problem_error(w->problems, offset_place(w->text, y->problem_offset), "not YAML: %s (byte %zu of the file)", what,
                      y->problem_offset);
        return;
    }
    struct place at = mark_place(y->problem_mark);
    const char *hint = "";
    if (line_has_brackets(w->text, at.line) || (at.line > 1 && line_has_brackets(w->text, at.line - 1))) {
        hint = "; an address in brackets must stand in quotes: \"[::1]:22121\"";
    } else if (strstr(what, "cannot start any token") != NULL) {
        hint = "; indent with blanks, not tabs, and put values with special characters in quotes";
    }
    const char *context = y->context != NULL ? y->context : "";
    problem_error(w->problems, at, "not YAML: %s%s%s%s", context, *context != '\0' ? ": " : "", what, hint);
}

/* Hangs a node into the tree. Its container takes it, or the walk when it is the document itself. */
static void attach(struct walk *w, struct node *n) {
    if (w->depth == 0) {
        w->root = n;
        return;
    }
    struct node *parent = w->open[w->depth - 1];
    if (parent->kind == NODE_MAP && parent->n % 2 == 0 && n->kind != NODE_SCALAR) {
        problem_error(w->problems, node_place(n), "a key must be a single word");
        w->failed = true;
    }
    if (parent->last != NULL) {
        parent->last->next = n;
    } else {
        parent->first = n;
    }
    parent->last = n;
    parent->n++;
}

static void refuse_tag(struct walk *w, const yaml_char_t *tag, struct place at) {
    if (tag != NULL && strcmp((const char *)tag, "!") != 0 &&
        strncmp((const char *)tag, "tag:yaml.org,2002:", 18) != 0) {
        struct quoted q;
        problem_error(w->problems, at, "tags are not supported: \"%s\"", quote(&q, (const char *)tag));
    }
}

static struct node *node_new(enum node_kind kind, struct place at) {
    struct node *n = mem_zalloc(sizeof *n);
    n->kind = kind;
    n->line = at.line;
    n->column = at.column;
    return n;
}

static void on_scalar(struct walk *w, const yaml_event_t *e) {
    struct place at = mark_place(e->start_mark);
    refuse_tag(w, e->data.scalar.tag, at);
    struct node *n = node_new(NODE_SCALAR, at);
    struct slice text = slice(e->data.scalar.value, e->data.scalar.length);
    n->text = mem_strndup(text);
    if (strlen(n->text) != text.n) {
        problem_error(w->problems, at, "a value must not hold a NUL byte");
    }
    attach(w, n);
}

static void on_start(struct walk *w, enum node_kind kind, const yaml_char_t *tag, struct place at) {
    refuse_tag(w, tag, at);
    if (w->depth == DEPTH_MAX) {
        problem_error(w->problems, at, "nested too deeply: at most %d levels", DEPTH_MAX);
        w->failed = true;
        return;
    }
    struct node *n = node_new(kind, at);
    attach(w, n);
    w->open[w->depth++] = n;
}

static void on_event(struct walk *w, const yaml_event_t *e) {
    struct place at = mark_place(e->start_mark);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (w->documents++ == 1) {
            problem_error(w->problems, at, "a second document begins here; the file must hold exactly one");
            w->failed = true;
        }
        break;
    case YAML_SCALAR_EVENT: on_scalar(w, e); break;
    case YAML_MAPPING_START_EVENT: on_start(w, NODE_MAP, e->data.mapping_start.tag, at); break;
    case YAML_SEQUENCE_START_EVENT: on_start(w, NODE_LIST, e->data.sequence_start.tag, at); break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: w->depth--; break;
    case YAML_ALIAS_EVENT: {
        struct quoted q;
        problem_error(w->problems, at, "aliases are not supported: write out what *%s stands for",
                      quote(&q, (const char *)e->data.alias.anchor));
        /* an empty value in its place keeps keys and values in step */
        struct node *n = node_new(NODE_SCALAR, at);
        n->text = mem_strdup("");
        attach(w, n);
        break;
    }
    default: break;
    }
}

/* Leaves only what was complete when the text broke off: whole entries of the outermost mapping. */
static void prune(struct walk *w) {
    struct node *root = w->root;
    if (root == NULL || w->depth == 0) {
        return; /* the document itself was complete */
    }
    if (root->kind != NODE_MAP || (w->depth == 1 && root->n < 2)) {
        node_free(&w->root);
        return;
    }
    uint32_t keep = root->n / 2 * 2 - (w->depth > 1 && root->n % 2 == 0 ? 2 : 0);
    struct node **at = &root->first;
    root->last = NULL;
    for (uint32_t i = 0; i < keep; i++) {
        root->last = *at;
        at = &(*at)->next;
    }
    root->n = keep;
    node_free(at); /* frees the rest of the list too */
    if (keep == 0) {
        node_free(&w->root);
    }
}

struct node *text_parse(struct slice text, struct conf_problems *problems) {
    struct walk w = {.text = text, .problems = problems};
    if (!yaml_parser_initialize(&w.yaml)) {
        problem_error(problems, (struct place){0, 0}, "not enough memory to read the file");
        return NULL;
    }
    yaml_parser_set_input_string(&w.yaml, text.p, text.n);
    bool end = false;
    while (!end && !w.failed) {
        yaml_event_t e;
        if (!yaml_parser_parse(&w.yaml, &e)) {
            say_syntax(&w);
            w.failed = true;
            break;
        }
        end = e.type == YAML_STREAM_END_EVENT;
        on_event(&w, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&w.yaml);
    if (w.failed) {
        prune(&w);
    }
    return w.root;
}

/* ---- and back to text ---- */

static void put_flow(struct str *to, const struct node *node) {
    if (node->kind == NODE_SCALAR) {
        str_quote(to, slice_str(node->text));
        return;
    }
    bool map = node->kind == NODE_MAP, value = false;
    str_put(to, map ? "{" : "[");
    for (const struct node *n = node->first; n != NULL; n = n->next) {
        put_flow(to, n);
        value = map && !value;
        str_put(to, value ? ": " : n->next != NULL ? ", " : "");
    }
    str_put(to, map ? "}" : "]");
}

char *node_flow(const struct node *node) {
    struct str text = {0};
    if (node != NULL) {
        put_flow(&text, node);
        str_put_slice(&text, slice("", 1)); /* its NUL */
    }
    return text.p;
}
