/*
 * Intrusive, doubly linked, circular lists.
 */
#ifndef DAEMON_LIST_H
#define DAEMON_LIST_H

#include <stdbool.h>

#include "proto/util.h"

struct list {
	struct list *next;
	struct list *previous;
};

static inline void
list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool
list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void
list_append(struct list *list, struct list *entry)
{
	entry->next = list;
	entry->previous = list->previous;
	list->previous->next = entry;
	list->previous = entry;
}

/* Leaves @entry a list of itself, so removing it twice does no harm. */
static inline void
list_remove(struct list *entry)
{
	entry->previous->next = entry->next;
	entry->next->previous = entry->previous;
	list_init(entry);
}

/* The first entry's struct; the list must not be empty. */
#define list_first(head, type, member) container_of((head)->next, type, member)

/* @cursor may be removed by the body; no other entry may. */
#define list_each_safe(cursor, after, head)                                    \
	for (struct list *cursor = (head)->next, *after = cursor->next;        \
	     cursor != (head); cursor = after, after = cursor->next)

#define list_each(cursor, head)                                                \
	for (struct list *cursor = (head)->next; cursor != (head);             \
	     cursor = cursor->next)

#endif
