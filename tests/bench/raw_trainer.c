#include "tests/bench/raw_trainer.h"

#include <string.h>
#include <unistd.h>

#include "tests/lib/story.h"

static const char table[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1024],"
			    "\"data_offsets\":[0,4096]}}";

void
raw_trainer_init(struct raw_trainer *ret_trainer, const char *path,
		 const char *model, unsigned int n_slots)
{
	Emad__Attach message = raw_attach_message(model, table);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };
	struct raw_trainer trainer = { .sequence = 1 };

	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	message.has_n_slots = true;
	message.n_slots = n_slots;
	insist(raw_attach(&trainer.session, raw_open(path), &message) ==
	       STATUS_OK);
	*ret_trainer = trainer;
}

void
raw_trainer_deinit(struct raw_trainer *trainer)
{
	raw_session_close(&trainer->session);
	(void)close(trainer->session.fd);
}

void
raw_trainer_publish(struct raw_trainer *trainer)
{
	static const float values[RAW_TRAINER_FLOATS] = { 1.0F, 2.0F };
	const struct raw_session *session = &trainer->session;
	uint64_t sequence = trainer->sequence++;
	size_t slot = sequence % session->n_slots;

	memcpy(session->data[slot], values, sizeof values);
	insist(raw_publish_status(session, (uint32_t)slot, sequence,
				  (int64_t)sequence) == STATUS_OK);
}
