/* script.h: a scenario file (docs/simulator.md describes the language) and one run of it. */
#ifndef KVMUX_TESTS_SIM_SCRIPT_H
#define KVMUX_TESTS_SIM_SCRIPT_H

#include "sim_net.h"

/* `config NAME`: what `reload NAME` takes. */
struct script_config {
    char name[24];
    char *text;
    size_t len;
    struct script_config *next;
};

struct script {
    char *path;
    char *text;   /* the whole file; lines end in NUL */
    char **lines;
    uint32_t n;
    char *config;
    size_t config_len;
    struct script_config *others;
    uint32_t workers;
    bool cuts;      /* re-run with cuts and short writes */
    bool seeds;     /* re-run with shuffled events */
    bool learns;    /* control asks servers for their commands */
    size_t longest; /* bytes of the longest string that is sent */
};

/* A word or a string of a line. */
struct token {
    struct slice s;
    bool quoted;
};
#define TOKENS_MAX 64
struct line {
    struct token t[TOKENS_MAX];
    uint32_t n;
    uint8_t *store; /* bytes of the strings; freed by line_free */
};

/* Loop variables: ${name} in words and strings. */
struct script_var {
    char name[16];
    uint32_t value;
    struct script_var *up;
};

struct script *script_read(const char *path); /* exits with a message when the file cannot be read */
void script_free(struct script **);
/* Line i (from 0) as tokens. A mistake in it fails the test. */
void script_tokens(const struct script *, uint32_t i, const struct script_var *, struct line *);
void line_free(struct line *);
bool token_is(const struct line *, uint32_t i, const char *word);

/* Runs all of it under this policy; a failed expectation ends the process with a message. */
void script_run(const struct script *, const struct sim_policy *, const char *mode, bool verbose);

#endif
