#include "daemon/service/kept.h"

#include "daemon/service/reply.h"

struct kept {
	uint64_t sequence; /* 0: none */
	enum status status;
	bool absorbed;
	char *sentence; /* of a refusal; or NULL, like the tensor */
	char *tensor;
};

struct kept *
kept_new(void)
{
	return xcalloc(KEPT_RESULTS, sizeof(struct kept));
}

static void
forget(struct kept *kept)
{
	free(kept->sentence);
	free(kept->tensor);
	*kept = (struct kept) { 0 };
}

void
kept_free(struct kept *kept)
{
	for (unsigned int i = 0; i < KEPT_RESULTS; i++)
		forget(&kept[i]);
	free(kept);
}

void
kept_put(struct kept *kept, uint64_t sequence, const struct result *result)
{
	kept += sequence % KEPT_RESULTS;
	forget(kept);
	kept->sequence = sequence;
	kept->status = result->status;
	kept->absorbed = result->absorbed;
	if (result->status != STATUS_OK)
		kept->sentence = xstrdup(result->why.text);
	if (result->tensor)
		kept->tensor = xstrdup(result->tensor);
}

bool
kept_answer(const struct kept *kept, uint64_t sequence, struct request *request)
{
	struct result result;

	kept += sequence % KEPT_RESULTS;
	if (kept->sequence != sequence)
		return false;
	result = (struct result) {
		.status = kept->status,
		.absorbed = kept->absorbed,
		.tensor = kept->tensor,
	};
	if (kept->sentence)
		why_set(&result.why, "%s", kept->sentence);
	reply_result(request, &result);
	return true;
}
