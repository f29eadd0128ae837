#include "daemon/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "daemon/io/endpoint.h"
#include "daemon/io/guard.h"
#include "daemon/io/lock.h"
#include "daemon/io/pool.h"
#include "daemon/service/dispatch.h"
#include "daemon/service/state.h"
#include "proto/wire.h"

#define N_SIGNALS 2

struct server {
	const struct options *options;
	const char *socket_path;
	uv_loop_t loop;
	int socket_lock;
	int instance_lock;
	struct pool *pool;
	struct endpoint *endpoint;
	struct state state;
	uv_signal_t signals[N_SIGNALS];
	size_t n_signals; /* that are open */
	bool stopping;
};

/* Tell the service manager, if there is one. */
static void
notify(const char *what)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, what);
#else
	(void)what;
#endif
}

/* How many sockets the service manager opened for us; ours is the first. */
static int
n_activated_sockets(int *ret_fd)
{
#ifdef HAVE_SYSTEMD
	*ret_fd = SD_LISTEN_FDS_START;
	return sd_listen_fds(1);
#else
	*ret_fd = -1;
	return 0;
#endif
}

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* A lease that is broken sends SIGIO, a peer that is gone SIGPIPE. */
static void
ignore_signals(void)
{
	(void)signal(SIGIO, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
}

/*
 * The folder of a default address in /tmp is ours to make, and nobody else may
 * have made it for us.
 */
static int
make_own_directory(const char *socket_path)
{
	owned_memory char *directory = xstrdup(socket_path);
	char *slash = strrchr(directory, '/');
	struct stat status;

	if (strncmp(directory, "/tmp/", 5) != 0 || !slash)
		return 0;
	*slash = '\0';
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return log_failure(-errno, "cannot make %s", directory);
	if (lstat(directory, &status) < 0)
		return log_failure(-errno, "cannot look at %s", directory);
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
	    (status.st_mode & 077) != 0) {
		log_error("%s is not a folder that only we may use: remove it, "
			  "make it private (chmod 700), or choose another with "
			  "--address",
			  directory);
		return -EPERM;
	}
	return 0;
}

static int
explain_lock(int error, const char *what, const char *path, pid_t holder)
{
	struct stat status;

	if (error == -EWOULDBLOCK) {
		log_error("%s is in use: a daemon runs already (process %d)",
			  what, (int)holder);
		return error;
	}
	/* If there is no such file to be seen, its folder is what refuses. */
	if (error == -EPERM ||
	    (error == -EACCES && lstat(path, &status) == 0)) {
		log_error("%s belongs to another user (%s is theirs): choose "
			  "another with --instance and --address",
			  what, path);
		return error;
	}
	return log_failure(error, "cannot lock %s", path);
}

static int
take_locks(struct server *server)
{
	owned_memory char *path = xasprintf("%s.lock", server->socket_path);
	owned_memory char *name =
		xasprintf("instance \"%s\"", server->options->instance);
	char prefix[FILE_NAME_SIZE];
	owned_memory char *shm_path = NULL;
	pid_t holder = 0;
	int r;

	r = lock_take(&server->socket_lock, path, &holder);
	if (r < 0)
		return explain_lock(r, server->options->address, path, holder);
	name_hidden_prefix(prefix, server->options->instance);
	shm_path = xasprintf(SHM_DIRECTORY "/%slock", prefix);
	r = lock_take(&server->instance_lock, shm_path, &holder);
	if (r < 0)
		return explain_lock(r, name, shm_path, holder);
	return 0;
}

static void
release_lock(int *fd, const char *path)
{
	if (*fd < 0)
		return;
	(void)unlink(path);
	(void)close(take_fd(fd));
}

static void
release_locks(struct server *server)
{
	owned_memory char *path = xasprintf("%s.lock", server->socket_path);
	char prefix[FILE_NAME_SIZE];
	owned_memory char *shm_path = NULL;

	name_hidden_prefix(prefix, server->options->instance);
	shm_path = xasprintf(SHM_DIRECTORY "/%slock", prefix);
	release_lock(&server->instance_lock, shm_path);
	release_lock(&server->socket_lock, path);
}

static int
start_pool(struct server *server)
{
	const struct options *options = server->options;
	struct pool_options pool_options = {
		.n_workers = options->n_workers,
		.cpus = options->has_cpus ? &options->cpus : NULL,
		.pinned = options->has_cpus,
		.nice = options->nice,
	};
	int r;

	r = pool_new(&server->pool, &server->loop, &pool_options);
	if (r < 0)
		return log_failure(r, "cannot start worker threads%s",
				   options->has_cpus ? " on those --cpus" : "");
	server->state.pool = server->pool;
	server->state.n_nodes = numa_n_nodes(NUMA_ROOT);
	numa_placement_init(&server->state.placement, NUMA_ROOT, server->pool);
	return 0;
}

static int
start_endpoint(struct server *server)
{
	struct endpoint_limits limits = ENDPOINT_LIMITS_DEFAULT;
	int fd;
	int r;

	limits.message_max = WIRE_MESSAGE_MAX;
	limits.large_message_max = WIRE_ATTACH_MAX;
	limits.may_be_large = wire_may_be_attach;
	r = endpoint_new(&server->endpoint, &server->loop, &limits,
			 dispatch_request, &server->state);
	if (r < 0)
		return log_failure(r, "cannot make an endpoint");
	server->state.endpoint = server->endpoint;
	if (n_activated_sockets(&fd) > 0)
		r = endpoint_listen_fd(server->endpoint, fd);
	else
		r = endpoint_listen(server->endpoint, server->socket_path,
				    server->options->mode);
	return r; /* The endpoint has said why. */
}

static void
on_closed(void *arg)
{
	bool *closed = arg;

	*closed = true;
}

/* Run the loop until what was started with @start is closed. */
static void
close_parts(struct server *server)
{
	bool endpoint_closed = server->endpoint == NULL;
	bool pool_closed = server->pool == NULL;
	bool huge_closed = server->state.huge == NULL;

	if (server->endpoint)
		endpoint_close(server->endpoint, on_closed, &endpoint_closed);
	if (server->pool)
		pool_close(server->pool, on_closed, &pool_closed);
	if (server->state.huge)
		huge_close(server->state.huge, on_closed, &huge_closed);
	while (!endpoint_closed || !pool_closed || !huge_closed)
		(void)uv_run(&server->loop, UV_RUN_ONCE);
	server->endpoint = NULL;
	server->pool = NULL;
}

static void
close_signals(struct server *server)
{
	while (server->n_signals > 0) {
		uv_signal_t *handle = &server->signals[--server->n_signals];

		uv_close((uv_handle_t *)handle, NULL);
	}
}

static void
on_idle(struct state *state)
{
	struct server *server = container_of(state, struct server, state);

	close_signals(server);
	uv_stop(&server->loop);
}

static void
stop(struct server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	notify("STOPPING=1");
	endpoint_drain(server->endpoint);
	state_stop(&server->state, on_idle);
}

static void
on_stop_request(struct state *state)
{
	stop(container_of(state, struct server, state));
}

static void
on_signal(uv_signal_t *handle, int number)
{
	log_notice("stop: %s", strsignal(number));
	stop(handle->data);
}

static int
watch_signals(struct server *server)
{
	static const int numbers[N_SIGNALS] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < N_SIGNALS; i++) {
		int r = uv_signal_init(&server->loop, &server->signals[i]);

		must(r == 0);
		server->n_signals++;
		server->signals[i].data = server;
		r = uv_signal_start(&server->signals[i], on_signal, numbers[i]);
		if (r < 0)
			return log_failure(r, "cannot watch signals");
	}
	return 0;
}

/* Start-up, in its order; shut_down() is the reverse. */
static int
start_up(struct server *server)
{
	const struct options *options = server->options;
	int r;

	raise_descriptor_limit();
	ignore_signals();
	r = guard_install();
	if (r < 0)
		return log_failure(r, "cannot install a signal handler");
	if (options->own_address)
		r = make_own_directory(server->socket_path);
	if (r == 0)
		r = take_locks(server);
	if (r < 0)
		return r;
	state_init(&server->state, &server->loop, options->instance,
		   options->mode);
	server->state.on_stop = on_stop_request;
	server->state.kernel = kernel_choose();
	if (!server->state.kernel) {
		log_error("EMAD_ISA asks for a kernel that this machine cannot "
			  "run: use avx512, avx2, neon or generic");
		return -EINVAL;
	}
	if (options->huge_pages)
		r = huge_new(&server->state.huge, &server->loop, HUGE_DELAY_MS);
	if (r < 0)
		return log_failure(r, "cannot prepare for huge pages");
	state_adopt(&server->state);
	r = start_pool(server);
	if (r < 0)
		return r;
	return start_endpoint(server);
}

static void
shut_down(struct server *server)
{
	close_signals(server);
	close_parts(server);
	/* Timers of answered pulls and the like are still closing. */
	(void)uv_run(&server->loop, UV_RUN_DEFAULT);
	if (server->state.loop)
		state_deinit(&server->state);
	huge_free(server->state.huge);
	numa_placement_deinit(&server->state.placement);
	release_locks(server);
}

static void
announce(const struct server *server)
{
	(void)printf("emad %s listening at %s\n", PACKAGE_VERSION,
		     server->options->address);
	(void)fflush(stdout);
	notify("READY=1");
}

int
server_run(const struct options *options)
{
	struct server server = {
		.options = options,
		.socket_lock = -1,
		.instance_lock = -1,
	};
	struct why why;
	int r;

	log_set_level(options->log_level);
	log_set_priorities(getenv("JOURNAL_STREAM") != NULL);
	server.socket_path = address_path(options->address, &why);
	must(server.socket_path != NULL);
	must(uv_loop_init(&server.loop) == 0);
	r = start_up(&server);
	if (r == 0)
		r = watch_signals(&server);
	if (r == 0) {
		announce(&server);
		(void)uv_run(&server.loop, UV_RUN_DEFAULT);
	}
	shut_down(&server);
	must(uv_loop_close(&server.loop) == 0);
	return r;
}
