/*
 * What the two halves of the fake daemon share: fake_daemon.c has the sockets
 * and the thread, fake_answers.c what is answered and the files.
 */
#ifndef TESTS_LIB_FAKE_PRIVATE_H
#define TESTS_LIB_FAKE_PRIVATE_H

#include "tests/lib/fake_daemon.h"

#define HEAD_SIZE 9 /* type, length */

struct held {
	int fd;
	uint32_t id;
	uint64_t sequence;
};

struct file {
	char name[FILE_NAME_SIZE];
	char *bytes;
	uint64_t size;
};

struct fake {
	char directory[64];
	char path[96];
	char address[ADDRESS_SIZE];
	int wake[2];
	pthread_t thread;
	bool is_running;
	/* The thread's own. */
	int listener;
	int connections[FAKE_CONNECTIONS];
	size_t n_connections;
	/* Under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct fake_orders orders;
	struct fake_record record;
	struct held held[FAKE_HELD];
	unsigned int n_held;
	char *model;
	struct safetensors *layout; /* of slots */
	Emad__Profile *profile;
	uint64_t data_start;
	uint64_t value_at; /* 0: there is none */
	unsigned int n_slots;
	struct file slots[WIRE_SLOTS_MAX];
	struct file version;
	int64_t version_step;
};

void fake_lock(struct fake *fake);
void fake_unlock(struct fake *fake);

/* Read or write all of it; false: the connection is over. */
bool fake_transfer(int fd, void *bytes, size_t size, bool is_write);

/* Answer @request, or keep it; under the lock. */
void fake_handle(struct fake *fake, int fd, uint32_t id,
		 const Emad__Request *request);
void fake_answer_publish(int fd, uint32_t id, enum status status);

void fake_forget_model(struct fake *fake);
void fake_file_remove(struct file *file);

#endif
