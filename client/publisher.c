/*
 * Publishers: attach, attach again after the daemon was gone, detach.
 */
#include <string.h>
#include <time.h>

#include "client/internal.h"

#define DEFAULT_TIMEOUT_MS 60000
#define RETRY_MS           20  /* between attempts to attach again */
#define SILENCE_MS         200 /* for answers to a session that is no more */
#define DETACH_MS          5000

/*
 * One attempt; (*ret_reply)->attach is set.  *ret_passing: a refusal that is
 * likely to go away by itself.
 */
static int
ask_attach(struct emad_publisher *publisher, int64_t deadline,
	   Emad__Reply **ret_reply, bool *ret_passing)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	struct emad *emad = publisher->emad;
	owned_reply *reply = NULL;
	int status;

	*ret_passing = false;
	request.attach = &publisher->attach;
	/*
	 * Attaching again has nothing to do with the connection's other
	 * questions, which may be under way on another thread; no slot has a
	 * request under way then, so that a slot's channel is free.
	 */
	if (publisher->n_slots > 0)
		status = ask_through(&publisher->channels[0], emad, &request,
				     deadline, &reply);
	else
		status = ask_through(&emad->control, emad, &request, deadline,
				     &reply);
	if (status != EMAD_OK) {
		*ret_passing = status == EMAD_UNREACHABLE;
		return status;
	}
	if (reply->status != STATUS_OK) {
		/* A session of our own ends as soon as it is noticed. */
		*ret_passing = reply->status == STATUS_STOPPING ||
			       (reply->status == STATUS_BUSY &&
				reply->busy_pid == emad->pid);
		return fail_refused(reply);
	}
	if (!reply->attach || reply->attach->n_slots == 0 ||
	    reply->attach->n_profiles == 0)
		return fail(EMAD_CHANGED,
			    "the daemon's answer to an attach is incomplete");
	*ret_reply = take_pointer(&reply);
	return EMAD_OK;
}

/* What the schedules want, and where they stand. */
static int
read_profiles(struct emad_publisher *publisher, const Emad__AttachReply *reply)
{
	publisher->schedules =
		xcalloc(reply->n_profiles, sizeof *publisher->schedules);
	for (size_t i = 0; i < reply->n_profiles; i++) {
		const Emad__ProfileState *state = reply->profiles[i];
		struct profile profile;
		enum status status;
		struct why why;

		status = wire_profile_read(&profile, state->profile, &why);
		if (status != STATUS_OK)
			return fail(EMAD_CHANGED,
				    "the daemon's profile is not valid: %s",
				    why.text);
		publisher->schedules[publisher->n_schedules++] =
			profile.schedule;
		profile_deinit(&profile);
		if (state->has_step && state->step > publisher->last_step)
			publisher->last_step = state->step;
	}
	return EMAD_OK;
}

static void
free_publisher(struct emad_publisher *publisher)
{
	async_free(publisher->async);
	crew_free(publisher->crew);
	channels_free(publisher->channels, WIRE_SLOTS_MAX);
	slots_unmap(publisher);
	spec_deinit(&publisher->attach);
	free(publisher->schedules);
	free(publisher->places);
	free(publisher);
}

/* End the session; nobody waits long for that. */
static int
send_detach(struct emad_publisher *publisher)
{
	int timeout_ms = publisher->timeout_ms;
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Detach detach = EMAD__DETACH__INIT;
	owned_reply *reply = NULL;
	int status;

	if (timeout_ms < 0 || timeout_ms > DETACH_MS)
		timeout_ms = DETACH_MS;
	detach.session = publisher->session;
	request.detach = &detach;
	status = ask(publisher->emad, &request, deadline_after(timeout_ms),
		     &reply);
	/* A daemon that was gone meanwhile has nothing to detach. */
	return status == EMAD_UNKNOWN_SESSION ? EMAD_OK : status;
}

/* End a session that something went wrong with; the sentence stays. */
static void
give_up_session(struct emad_publisher *publisher)
{
	owned_memory char *sentence = xstrdup(emad_error());

	(void)send_detach(publisher);
	(void)fail(EMAD_OK, "%s", sentence);
}

/* Nothing is in the slots yet, so one of them can be copied to another. */
static int
choose_copy(struct emad_publisher *publisher, unsigned int n_threads)
{
	size_t start = publisher->data_start;
	size_t size = publisher->slot_size - start;

	if (size < COPY_STREAM_FROM)
		return EMAD_OK;
	publisher->copy_way = copy_way(0);
	if (publisher->n_slots > 1)
		publisher->copy_way =
			copy_choose(publisher->slots[1].file + start,
				    publisher->slots[0].file + start,
				    size < COPY_TRIAL ? size : COPY_TRIAL);
	return n_threads > 1 ? crew_new(&publisher->crew, n_threads) : EMAD_OK;
}

/* Use what the first attach brought. */
static int
take_session(struct emad_publisher *publisher, const Emad__AttachReply *reply,
	     const struct emad_tensor *tensors, unsigned int n_copy_threads)
{
	int status;

	publisher->session = reply->session;
	status = read_profiles(publisher, reply);
	if (status == EMAD_OK)
		status = slots_map(publisher, reply, tensors);
	for (size_t i = 0; i < publisher->n_slots && status == EMAD_OK; i++)
		status = channel_new(&publisher->channels[i],
				     publisher->emad->address);
	if (status == EMAD_OK)
		status = choose_copy(publisher, n_copy_threads);
	if (status != EMAD_OK)
		give_up_session(publisher);
	return status;
}

static struct emad_publisher *
new_publisher(struct emad *emad, const Emad__Attach *attach, size_t n_tensors,
	      const struct emad_options *options)
{
	struct emad_publisher *publisher = xcalloc(1, sizeof *publisher);
	int timeout_ms = options->timeout_ms;

	publisher->emad = emad;
	publisher->attach = *attach;
	publisher->attach.first_unanswered = 1;
	publisher->n_tensors = n_tensors;
	publisher->places = xcalloc(n_tensors, sizeof *publisher->places);
	publisher->mode = options->mode;
	publisher->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS;
	publisher->last_step = STEP_NONE;
	publisher->last_published = STEP_NONE;
	publisher->next_sequence = 1;
	return publisher;
}

int
emad_attach(struct emad_publisher **ret_publisher, struct emad *emad,
	    const char *model, const struct emad_tensor *tensors,
	    size_t n_tensors, const struct emad_options *options)
{
	static const struct emad_options defaults;
	struct emad_publisher *publisher;
	owned_reply *reply = NULL;
	Emad__Attach attach;
	bool passing;
	int status;

	if (!ret_publisher || !emad || !model || (n_tensors > 0 && !tensors))
		return fail(EMAD_USAGE, "emad_attach: an argument is NULL");
	status = check_process(emad->pid);
	if (!options)
		options = &defaults;
	if (status == EMAD_OK)
		status = spec_init(&attach, model, tensors, n_tensors, options);
	if (status != EMAD_OK)
		return status;
	publisher = new_publisher(emad, &attach, n_tensors, options);
	status = ask_attach(publisher, deadline_after(publisher->timeout_ms),
			    &reply, &passing);
	if (status == EMAD_OK)
		status = take_session(publisher, reply->attach, tensors,
				      options->n_copy_threads);
	if (status != EMAD_OK) {
		free_publisher(publisher);
		return status;
	}
	publisher->next = emad->publishers;
	emad->publishers = publisher;
	*ret_publisher = publisher;
	return EMAD_OK;
}

/*
 * See to it that no request is under way: those of an old session are
 * refused quickly, those that are not are not wanted any more.
 */
static void
make_quiet(struct emad_publisher *publisher)
{
	int64_t deadline = deadline_after(SILENCE_MS);

	while (answers_are_due(publisher) &&
	       channels_wait(publisher->channels, publisher->n_slots, deadline))
		answers_collect(publisher);
	for (size_t i = 0; i < publisher->n_slots; i++)
		channel_cancel(publisher->channels[i]);
}

static uint64_t
find_first_unanswered(const struct emad_publisher *publisher)
{
	uint64_t first = publisher->next_sequence;

	for (size_t i = 0; i < publisher->n_slots; i++)
		if (publisher->slots[i].state == SLOT_SENT &&
		    publisher->slots[i].sequence < first)
			first = publisher->slots[i].sequence;
	return first;
}

static int
attach_again(struct emad_publisher *publisher, int64_t deadline)
{
	struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
	owned_reply *reply = NULL;
	bool passing = true;
	int status = EMAD_TIMEOUT;

	publisher->attach.first_unanswered = find_first_unanswered(publisher);
	/* Whoever came meanwhile came with better reason. */
	publisher->attach.takeover = false;
	while (passing) {
		status = ask_attach(publisher, deadline, &reply, &passing);
		if (clock_ms() + RETRY_MS >= deadline)
			passing = false;
		if (passing)
			(void)nanosleep(&pause, NULL);
	}
	if (status == EMAD_OK)
		status = slots_remap(publisher, reply->attach);
	if (status != EMAD_OK)
		return fail_because(status, "cannot attach to %s again",
				    publisher->attach.model);
	publisher->session = reply->attach->session;
	publisher->is_lost = false;
	count(&publisher->counts.reattached);
	return EMAD_OK;
}

static struct slot *
find_sent(struct emad_publisher *publisher, uint64_t sequence)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (publisher->slots[i].state == SLOT_SENT &&
		    publisher->slots[i].sequence == sequence)
			return &publisher->slots[i];
	return NULL;
}

/*
 * Send again what was not answered, up to the first gap.  The daemon waits
 * for every sequence from the first unanswered one on, so what lies beyond one
 * that was answered (a publish may be replaced while an older one is being
 * absorbed) has to wait for another attach.
 */
static int
send_again(struct emad_publisher *publisher)
{
	uint64_t sequence = find_first_unanswered(publisher);
	struct slot *slot;
	int status = EMAD_OK;

	while (status == EMAD_OK && (slot = find_sent(publisher, sequence++)))
		status = publish_send(publisher, slot);
	return status;
}

static bool
has_unsent(struct emad_publisher *publisher)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (publisher->slots[i].state == SLOT_SENT &&
		    channel_is_idle(publisher->channels[i]))
			return true;
	return false;
}

int
publisher_restore(struct emad_publisher *publisher, int64_t deadline)
{
	int status;

	do {
		if (clock_ms() >= deadline)
			return fail(EMAD_TIMEOUT,
				    "the daemon at %s forgets the session of "
				    "%s again and again",
				    publisher->emad->address,
				    publisher->attach.model);
		make_quiet(publisher);
		if (publisher->is_taken_over)
			return EMAD_OK;
		status = attach_again(publisher, deadline);
		if (status == EMAD_OK)
			status = send_again(publisher);
		while (status == EMAD_OK && has_unsent(publisher) &&
		       answers_are_due(publisher))
			status = answers_wait(publisher, deadline);
	} while (status == EMAD_OK && has_unsent(publisher));
	if (status != EMAD_OK)
		publisher->is_lost = true;
	return status;
}

static void
forget(struct emad_publisher *publisher)
{
	struct emad_publisher **at = &publisher->emad->publishers;

	while (*at != publisher)
		at = &(*at)->next;
	*at = publisher->next;
}

int
emad_detach(struct emad_publisher *publisher)
{
	int status;

	if (!publisher)
		return EMAD_OK;
	status = check_process(publisher->emad->pid);
	if (status != EMAD_OK)
		return status;
	async_join(publisher);
	status =
		publish_drain(publisher, deadline_after(publisher->timeout_ms));
	if (status == EMAD_OK && !publisher->is_lost)
		status = send_detach(publisher);
	else if (status == EMAD_TIMEOUT && !publisher->is_lost)
		give_up_session(publisher);
	if (status == EMAD_OK)
		status = answers_report(publisher);
	forget(publisher);
	free_publisher(publisher);
	return status;
}

int64_t
emad_last_step(const struct emad_publisher *publisher)
{
	return publisher->last_step;
}
