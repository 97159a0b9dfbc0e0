/* list.h: intrusive lists. `list` is circular and doubly linked, so that a member can leave from
 * anywhere; `queue` is a singly linked FIFO for objects that leave in the order in which they came. */
#ifndef KVMUX_BASE_LIST_H
#define KVMUX_BASE_LIST_H

#include "base/base.h"

struct list {
    struct list *prev, *next; /* both NULL: a member that is in no list */
};

static inline void list_init(struct list *l) {
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l) {
    return l->next == l;
}

static inline bool list_linked(const struct list *m) {
    return m->next != NULL;
}

static inline void list_push(struct list *l, struct list *m) {
    ASSERT(!list_linked(m));
    m->prev = l->prev;
    m->next = l;
    l->prev->next = m;
    l->prev = m;
}

static inline void list_push_front(struct list *l, struct list *m) {
    list_push(l->next, m);
}

/* Leaves whatever list it is in; does nothing for a member that is in none. */
static inline void list_remove(struct list *m) {
    if (m->next != NULL) {
        m->prev->next = m->next;
        m->next->prev = m->prev;
        m->prev = m->next = NULL;
    }
}

static inline struct list *list_first(const struct list *l) {
    return list_empty(l) ? NULL : l->next;
}

static inline struct list *list_pop(struct list *l) {
    struct list *m = l->next;
    if (m == l) {
        return NULL;
    }
    l->next = m->next;
    m->next->prev = l;
    m->prev = m->next = NULL;
    return m;
}

/* Moves every member of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (!list_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

#define LIST_EACH(l, m) for (struct list *m = (l)->next; m != (l); m = m->next)
/* As LIST_EACH, and the body may remove or free m. */
#define LIST_EACH_SAFE(l, m)                                                                       \
    for (struct list *m = (l)->next, *m##_next = m->next; m != (l); m = m##_next, m##_next = m->next)

struct queue_link {
    struct queue_link *next;
};

struct queue {
    struct queue_link *head;
    struct queue_link **tail; /* where the next member's address goes */
};

static inline void queue_init(struct queue *q) {
    q->head = NULL;
    q->tail = &q->head;
}

static inline void queue_push(struct queue *q, struct queue_link *m) {
    m->next = NULL;
    *q->tail = m;
    q->tail = &m->next;
}

static inline void queue_push_front(struct queue *q, struct queue_link *m) {
    m->next = q->head;
    if (q->head == NULL) {
        q->tail = &m->next;
    }
    q->head = m;
}

/* Behind `before`, a member; NULL: to the front. */
static inline void queue_push_behind(struct queue *q, struct queue_link *before, struct queue_link *m) {
    if (before == NULL) {
        queue_push_front(q, m);
        return;
    }
    m->next = before->next;
    before->next = m;
    if (m->next == NULL) {
        q->tail = &m->next;
    }
}

/* Takes everything behind `last`, a member, off the queue: the first of it, linked by `next`. */
static inline struct queue_link *queue_cut(struct queue *q, struct queue_link *last) {
    struct queue_link *rest = last->next;
    last->next = NULL;
    q->tail = &last->next;
    return rest;
}

static inline struct queue_link *queue_pop(struct queue *q) {
    struct queue_link *m = q->head;
    if (m != NULL) {
        q->head = m->next;
        if (q->head == NULL) {
            q->tail = &q->head;
        }
        m->next = NULL;
    }
    return m;
}

#endif
