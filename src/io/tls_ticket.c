/* tls_ticket.c: keys of session tickets. Each process draws a secret, and another one every twelve hours; a context's keys are made of
 * it and of the context's digest. So workers need not agree on anything, tickets outlive a reload that changes nothing, and those
 * given out before certificates, CAs or demands changed are worth nothing afterwards. */
#include "io/tls_state.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define SECRET_LIFE_SEC 43200
#define KEY 32

/* The present secret and the one before. Looked at once per handshake: the lock is no matter beside that. */
static struct {
    pthread_mutex_t lock;
    uint8_t now[KEY], before[KEY];
    time_t since; /* 0: none yet */
} secrets = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool secrets_copy(uint8_t *now, uint8_t *before) {
    struct timespec t;
    bool ok = true;
    clock_gettime(CLOCK_MONOTONIC, &t);
    pthread_mutex_lock(&secrets.lock);
    if (secrets.since == 0 || t.tv_sec - secrets.since >= SECRET_LIFE_SEC) {
        bool first = secrets.since == 0;
        memcpy(secrets.before, secrets.now, KEY);
        ok = RAND_priv_bytes(secrets.now, KEY) == 1 && (!first || RAND_priv_bytes(secrets.before, KEY) == 1);
        secrets.since = ok ? t.tv_sec : 0;
    }
    memcpy(now, secrets.now, KEY);
    memcpy(before, secrets.before, KEY);
    pthread_mutex_unlock(&secrets.lock);
    return ok;
}

struct keys {
    uint8_t name[KEY]; /* of which a ticket carries the first half */
    uint8_t cipher[KEY], mac[KEY];
};

static void keys_make(struct keys *k, const uint8_t *secret, const struct tls_ctx *ctx) {
    uint8_t *const to[] = {k->name, k->cipher, k->mac};
    uint8_t text[TLS_DIGEST + 1];
    memcpy(text, ctx->digest, TLS_DIGEST);
    for (uint8_t i = 0; i < 3; i++) {
        text[TLS_DIGEST] = i;
        HMAC(EVP_sha256(), secret, KEY, text, sizeof text, to[i], NULL);
    }
}

static int keys_use(struct keys *k, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal) {
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, KEY),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, seal) == 1 && EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: go on; 2: go on, and give out a new ticket; 0: not one of ours; -1: failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal) {
    const struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint8_t now[KEY], before[KEY];
    struct keys k;
    int rc = -1;
    if (secrets_copy(now, before)) {
        keys_make(&k, now, ctx);
        rc = 1;
        if (seal) {
            memcpy(name, k.name, 16);
            rc = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 ? 1 : -1;
        } else if (memcmp(name, k.name, 16) != 0) {
            keys_make(&k, before, ctx);
            rc = memcmp(name, k.name, 16) == 0 ? 2 : 0;
        }
        rc = rc > 0 && !keys_use(&k, iv, cipher, mac, seal) ? -1 : rc;
    }
    OPENSSL_cleanse(now, sizeof now);
    OPENSSL_cleanse(before, sizeof before);
    OPENSSL_cleanse(&k, sizeof k);
    return rc;
}

bool tls_ticket_init(struct tls_ctx *ctx) {
    SSL_CTX_set_app_data(ctx->ssl, ctx);
    SSL_CTX_set_num_tickets(ctx->ssl, 1);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx->ssl, on_ticket) == 1;
}
