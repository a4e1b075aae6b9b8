/*
 * Stands in for an ONNX Runtime library with the CANN and CUDA providers, where there is no such hardware: it answers
 * as their documentation says, records the calls, and forwards everything else to a real library, whose CPU provider
 * then runs the sessions.
 *
 *     cc -shared -fPIC -DREAL_LIBRARY='"libonnxruntime.so.1"' -o libonnxruntime.so standin.c
 *
 * Beside OrtGetApiBase it exports what a test needs: standin_take, standin_host_operation, standin_precision_option.
 * Slots are those of struct OrtApi in onnxruntime_c_api.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The slots that the runtime knows; the real table is longer. */
#define SLOTS 413
#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef void *Status; /* OrtStatus *, NULL for success */
static void *real[SLOTS];
static void *table[SLOTS];

/* Calls the real function in a slot. */
#define REAL(slot, result, types) ((result(*) types)real[slot])

/* --- the record ------------------------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *text, *taken;
static size_t used, room;
/* Calls that work on the device at this moment. */
static int at_work;

static void record(const char *format, ...) {
  pthread_mutex_lock(&lock);
  for (;;) {
    va_list arguments;
    va_start(arguments, format);
    size_t free_bytes = room - used;
    int length = vsnprintf(text == NULL ? NULL : text + used, free_bytes, format, arguments);
    va_end(arguments);
    if ((size_t)length + 2 <= free_bytes) {
      used += length;
      text[used++] = '\n';
      text[used] = '\0';
      break;
    }
    room = 2 * room + length + 4096;
    text = realloc(text, room);
  }
  pthread_mutex_unlock(&lock);
}

/* What was recorded since the last time; valid until the next. */
const char *standin_take(void) {
  pthread_mutex_lock(&lock);
  free(taken);
  taken = text;
  text = NULL;
  used = room = 0;
  pthread_mutex_unlock(&lock);
  return taken == NULL ? "" : taken;
}

/* Objects by address, under names that are the same in every run: value3 is the third value made. */
typedef struct {
  const void *address;
  const char *provider; /* of session options and sessions */
  char name[40];
  int host; /* a value in host memory that the caller gave */
} Object;

static Object objects[1 << 16];
static size_t object_count;

static Object *find(const void *address) {
  for (size_t i = 0; i < object_count; i++)
    if (objects[i].address == address) return &objects[i];
  return NULL;
}

static const char *name(const void *address);

static const char *born(const char *kind, const void *address, const char *provider, int host) {
  static struct { const char *kind; int count; } kinds[32];
  size_t k = 0;
  pthread_mutex_lock(&lock);
  while (kinds[k].kind != NULL && strcmp(kinds[k].kind, kind) != 0) k++;
  kinds[k].kind = kind;
  Object *object = find(address);
  if (object == NULL) object = object_count < COUNT(objects) ? &objects[object_count++] : &objects[0];
  *object = (Object){.address = address, .provider = provider, .host = host};
  snprintf(object->name, sizeof object->name, "%s%d", kind, ++kinds[k].count);
  pthread_mutex_unlock(&lock);
  return name(address);
}

/* The object at an address as it is now, since others may change the table meanwhile. */
static Object look(const void *address) {
  pthread_mutex_lock(&lock);
  Object *object = find(address);
  Object found = object == NULL ? (Object){.name = "unknown"} : *object;
  pthread_mutex_unlock(&lock);
  return found;
}

static const char *name(const void *address) {
  static __thread char names[8][sizeof((Object *)0)->name];
  static __thread int next;
  if (address == NULL) return "null";
  return strcpy(names[next++ % 8], look(address).name);
}

static void gone(const void *address) {
  pthread_mutex_lock(&lock);
  Object *object = find(address);
  if (object != NULL) *object = objects[--object_count];
  pthread_mutex_unlock(&lock);
}

/* Around what works on the device: providers do not take it from two threads at once. */
static void begin(const char *function) {
  if (__atomic_add_fetch(&at_work, 1, __ATOMIC_SEQ_CST) > 1) record("CONCURRENT %s", function);
}
static void end(void) { __atomic_sub_fetch(&at_work, 1, __ATOMIC_SEQ_CST); }

static const char *result(Status status, const char *kind, void **out) {
  return status != NULL ? "error" : born(kind, *out, NULL, 0);
}

static const char *outcome(Status status) { return status == NULL ? "" : " -> error"; }

static const char *tensor(const int64_t *shape, size_t rank, int type, char *to) {
  static const char *const types[] = {[1] = "float32", [6] = "int32", [7] = "int64", [9] = "bool"};
  const char *known = (size_t)type < COUNT(types) ? types[type] : NULL;
  int at = sprintf(to, "%s[", known == NULL ? "?" : known);
  for (size_t i = 0; i < rank && i < 8; i++) at += sprintf(to + at, i == 0 ? "%lld" : ",%lld", (long long)shape[i]);
  sprintf(to + at, "]");
  return to;
}

/* --- recorded and forwarded ------------------------------------------------------------------------------------ */

static Status create_env(int level, const char *id, void **out) {
  Status status = REAL(3, Status, (int, const char *, void **))(level, id, out);
  record("CreateEnv(%d, %s) -> %s", level, id, result(status, "environment", out));
  return status;
}

static const char *make_session(Status status, const void *options, void **out) {
  return status != NULL ? "error" : born("session", *out, look(options).provider, 0);
}

static Status create_session(void *env, const char *path, void *options, void **out) {
  begin("CreateSession");
  Status status = REAL(7, Status, (void *, const char *, void *, void **))(env, path, options, out);
  end();
  record("CreateSession(%s, %s) -> %s", name(env), name(options), make_session(status, options, out));
  return status;
}

static Status create_session_from_array(void *env, const void *model, size_t size, void *options, void **out) {
  begin("CreateSessionFromArray");
  Status status =
      REAL(8, Status, (void *, const void *, size_t, void *, void **))(env, model, size, options, out);
  end();
  record("CreateSessionFromArray(%s, %s) -> %s", name(env), name(options), make_session(status, options, out));
  return status;
}

static Status create_session_options(void **out) {
  Status status = REAL(10, Status, (void **))(out);
  record("CreateSessionOptions() -> %s", result(status, "sessionOptions", out));
  return status;
}

static Status disable_mem_pattern(void *options) {
  record("DisableMemPattern(%s)", name(options));
  return REAL(17, Status, (void *))(options);
}

static Status set_intra_op_num_threads(void *options, int threads) {
  record("SetIntraOpNumThreads(%s)", name(options));
  return REAL(24, Status, (void *, int))(options, threads);
}

static Status create_run_options(void **out) {
  Status status = REAL(39, Status, (void **))(out);
  record("CreateRunOptions() -> %s", result(status, "runOptions", out));
  return status;
}

static Status set_terminate(void *options) {
  record("RunOptionsSetTerminate(%s)", name(options));
  return REAL(46, Status, (void *))(options);
}

static Status unset_terminate(void *options) {
  record("RunOptionsUnsetTerminate(%s)", name(options));
  return REAL(47, Status, (void *))(options);
}

static Status create_tensor(void *allocator, const int64_t *shape, size_t rank, int type, void **out) {
  char spec[256];
  begin("CreateTensorAsOrtValue");
  Status status =
      REAL(48, Status, (void *, const int64_t *, size_t, int, void **))(allocator, shape, rank, type, out);
  end();
  record("CreateTensorAsOrtValue(%s, %s) -> %s", name(allocator), tensor(shape, rank, type, spec),
         result(status, "value", out));
  return status;
}

static Status create_tensor_with_data(void *info, void *data, size_t size, const int64_t *shape, size_t rank, int type,
                                      void **out) {
  char spec[256];
  Status status = REAL(49, Status, (void *, void *, size_t, const int64_t *, size_t, int, void **))(
      info, data, size, shape, rank, type, out);
  record("CreateTensorWithDataAsOrtValue(%s, %zu bytes, %s) -> %s", name(info), size, tensor(shape, rank, type, spec),
         status != NULL ? "error" : born("value", *out, NULL, 1));
  return status;
}

static Status create_memory_info(const char *device, int allocator, int id, int type, void **out) {
  Status status = REAL(68, Status, (const char *, int, int, int, void **))(device, allocator, id, type, out);
  record("CreateMemoryInfo(%s) -> %s", device, result(status, "memoryInfo", out));
  return status;
}

static Status create_cpu_memory_info(int allocator, int type, void **out) {
  Status status = REAL(69, Status, (int, int, void **))(allocator, type, out);
  record("CreateCpuMemoryInfo() -> %s", result(status, "memoryInfo", out));
  return status;
}

#define RELEASE(function, label, slot)   \
  static void function(void *object) {   \
    record(label "(%s)", name(object));  \
    gone(object);                        \
    REAL(slot, void, (void *))(object);  \
  }
RELEASE(release_memory_info, "ReleaseMemoryInfo", 94)
RELEASE(release_run_options, "ReleaseRunOptions", 97)
RELEASE(release_session_options, "ReleaseSessionOptions", 100)
RELEASE(release_allocator, "ReleaseAllocator", 132)
RELEASE(release_io_binding, "ReleaseIoBinding", 135)
RELEASE(release_arena_cfg, "ReleaseArenaCfg", 157)

static void release_session(void *session) {
  record("ReleaseSession(%s)", name(session));
  gone(session);
  begin("ReleaseSession");
  REAL(95, void, (void *))(session);
  end();
}

static void release_value(void *value) {
  int host = look(value).host;
  record("ReleaseValue(%s)", name(value));
  gone(value);
  if (!host) begin("ReleaseValue");
  REAL(96, void, (void *))(value);
  if (!host) end();
}

static Status add_session_config_entry(void *options, const char *key, const char *value) {
  record("AddSessionConfigEntry(%s, %s=%s)", name(options), key, value);
  return REAL(130, Status, (void *, const char *, const char *))(options, key, value);
}

static Status create_allocator(const void *session, const void *info, void **out) {
  Status status = REAL(131, Status, (const void *, const void *, void **))(session, info, out);
  record("CreateAllocator(%s, %s) -> %s", name(session), name(info), result(status, "allocator", out));
  return status;
}

static Status run_with_binding(void *session, const void *options, const void *binding) {
  begin("RunWithBinding");
  Status status = REAL(133, Status, (void *, const void *, const void *))(session, options, binding);
  end();
  record("RunWithBinding(%s, %s, %s)%s", name(session), name(options), name(binding), outcome(status));
  return status;
}

static Status create_io_binding(void *session, void **out) {
  Status status = REAL(134, Status, (void *, void **))(session, out);
  record("CreateIoBinding(%s) -> %s", name(session), result(status, "binding", out));
  return status;
}

static Status bind_input(void *binding, const char *input, const void *value) {
  /* an input that lies elsewhere is copied to the device here and now */
  int host = look(value).host;
  if (host) begin("BindInput");
  Status status = REAL(136, Status, (void *, const char *, const void *))(binding, input, value);
  if (host) end();
  record("BindInput(%s, %s, %s)%s", name(binding), input, name(value), outcome(status));
  return status;
}

static Status bind_output(void *binding, const char *output, const void *value) {
  Status status = REAL(137, Status, (void *, const char *, const void *))(binding, output, value);
  record("BindOutput(%s, %s, %s)%s", name(binding), output, name(value), outcome(status));
  return status;
}

static Status create_and_register_allocator(void *env, const void *info, const void *configuration) {
  Status status = REAL(144, Status, (void *, const void *, const void *))(env, info, configuration);
  record("CreateAndRegisterAllocator(%s, %s, %s)%s", name(env), name(info), name(configuration), outcome(status));
  return status;
}

static Status create_arena_cfg(size_t most, int strategy, int first, int dead, void **out) {
  Status status = REAL(156, Status, (size_t, int, int, int, void **))(most, strategy, first, dead, out);
  record("CreateArenaCfg(%zu, %d, %d, %d) -> %s", most, strategy, first, dead, result(status, "arenaCfg", out));
  return status;
}

static Status create_memory_info_v2(const char *device, int kind, uint32_t vendor, int32_t id, int memory,
                                    size_t alignment, int allocator, void **out) {
  Status status = REAL(320, Status, (const char *, int, uint32_t, int32_t, int, size_t, int, void **))(
      device, kind, vendor, id, memory, alignment, allocator, out);
  record("CreateMemoryInfo_V2(%s) -> %s", device, result(status, "memoryInfo", out));
  return status;
}

static Status session_get_memory_info_for_inputs(const void *session, const void **out, size_t count) {
  Status status = REAL(380, Status, (const void *, const void **, size_t))(session, out, count);
  if (status == NULL && look(out[0]).address == NULL) born("memoryInfo", out[0], NULL, 0);
  record("SessionGetMemoryInfoForInputs(%s) -> %s", name(session), status == NULL ? name(out[0]) : "error");
  return status;
}

static Status copy_tensors(const void *env, const void *const *from, void *const *to, void *stream, size_t count) {
  begin("CopyTensors");
  Status status = REAL(386, Status, (const void *, const void *const *, void *const *, void *, size_t))(
      env, from, to, stream, count);
  end();
  record("CopyTensors(%s, %s, %s)%s", name(env), name(from[0]), name(to[0]), outcome(status));
  return status;
}

/* --- which provider the nodes are on ---------------------------------------------------------------------------- */

/* Provider of the session that was asked about last. */
static const char *assigned;
static char host_operation[64];

/* Makes every node of an operation be reported on the host; "" for none. */
void standin_host_operation(const char *type) { snprintf(host_operation, sizeof host_operation, "%s", type); }

static Status get_assignment(const void *session, void *out, size_t *count) {
  assigned = look(session).provider;
  Status status = REAL(407, Status, (const void *, void *, size_t *))(session, out, count);
  record("Session_GetEpGraphAssignmentInfo(%s)%s", name(session), outcome(status));
  return status;
}

static Status get_ep_name(const void *subgraph, const char **out) {
  Status status = REAL(408, Status, (const void *, const char **))(subgraph, out);
  const void *const *nodes;
  const char *type;
  size_t count;
  if (status != NULL || assigned == NULL) return status;
  status = REAL(409, Status, (const void *, const void *const **, size_t *))(subgraph, &nodes, &count);
  for (size_t i = 0; status == NULL && i < count; i++) {
    status = REAL(412, Status, (const void *, const char **))(nodes[i], &type);
    if (status == NULL && strcmp(type, host_operation) == 0) return NULL;
  }
  if (status == NULL) *out = assigned;
  return status;
}

/* --- the providers ----------------------------------------------------------------------------------------------- */

/* NPUs or GPUs that this host pretends to have. */
#define DEVICES 2
#define MOST_OPTIONS 32

typedef struct {
  size_t count;
  char keys[MOST_OPTIONS][64];
  char values[MOST_OPTIONS][64];
} Options;

/* OrtErrorCode: ORT_FAIL, as ORT_THROW_IF_ERROR in FromProviderOptions ends. */
static Status fail(const char *format, ...) {
  char message[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return REAL(0, Status, (int, const char *))(1, message);
}

/* A word of a list of words that spaces part. */
static int listed(const char *word, const char *list) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
    if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return length > 0;
  return 0;
}

typedef struct { const char *key, *values; } Choice;

/* Values that a key is held to; all others take any. */
static const Choice choices[] = {
    /* EnumNameMapping in cann_execution_provider_info.cc and cuda_execution_provider_info.cc */
    {"arena_extend_strategy", "kNextPowerOfTwo kSameAsRequested"},
    {"enable_cann_graph", "0 1 true false True False"},
    {"use_tf32", "0 1 true false True False"},
    /* The provider takes any, and the graph engine refuses it when the first program is compiled: CheckPrecisionMode-
       ParamValid in hicann/ge. Values of ge.exec.precision_mode, "Ascend Graph API, options". */
    {"precision_mode",
     "force_fp32 force_fp16 allow_fp32_to_fp16 allow_fp32_to_bf16 must_keep_origin_dtype allow_mix_precision "
     "allow_mix_precision_fp16 allow_mix_precision_bf16 cube_fp16in_fp32out"},
    {"precision_mode_v2", "fp16 origin cube_fp16in_fp32out mixed_float16 mixed_bfloat16 mixed_hif8 cube_hif8"},
};

static Status update(Options *options, const char *keys_known, const char *const *keys, const char *const *values,
                     size_t count) {
  options->count = 0; /* as the providers do: what is not given is back at its default */
  for (size_t i = 0; i < count; i++) {
    /* ProviderOptionsParser::Parse in provider_options_utils.h */
    if (!listed(keys[i], keys_known)) return fail("Unknown provider option: \"%s\".", keys[i]);
    if (strcmp(keys[i], "device_id") == 0 && (atoi(values[i]) < 0 || atoi(values[i]) >= DEVICES))
      return fail("Invalid device ID: %s, must be between 0 (inclusive) and %d (exclusive).", values[i], DEVICES);
    for (size_t c = 0; c < COUNT(choices); c++)
      if (strcmp(keys[i], choices[c].key) == 0 && !listed(values[i], choices[c].values))
        return fail("Failed to parse provider option \"%s\": %s", keys[i], values[i]);
    if (options->count == MOST_OPTIONS) return fail("too many options");
    snprintf(options->keys[options->count], 64, "%s", keys[i]);
    snprintf(options->values[options->count++], 64, "%s", values[i]);
  }
  return NULL;
}

static void print(const Options *options, const char *separator, char *to) {
  *to = '\0';
  for (size_t i = 0; i < options->count; i++)
    to += sprintf(to, "%s%s=%s", i == 0 ? "" : separator, options->keys[i], options->values[i]);
}

static Status append(const char *function, const char *provider, void *session_options, const Options *options) {
  pthread_mutex_lock(&lock);
  Object *object = find(session_options);
  if (object != NULL) object->provider = provider;
  pthread_mutex_unlock(&lock);
  record("%s(%s, %s)", function, name(session_options), name(options));
  return NULL;
}

/* The keys of cann_execution_provider_info.cc at first (microsoft/onnxruntime@a8091220, and the two
   that pull requests 20075 and 25867 added), and since pull request 27970 (@38170d0f), which renamed precision_mode. */
#define CANN_KEYS                                                                                                 \
  "device_id npu_mem_limit arena_extend_strategy enable_cann_graph enable_cann_subgraph dump_graphs dump_om_model " \
  "op_select_impl_mode optypelist_for_implmode "
static const char *cann_keys = CANN_KEYS "precision_mode";

/* Which of the two names of its precision option the CANN provider knows. */
void standin_precision_option(const char *key) {
  cann_keys = strcmp(key, "precision_mode_v2") == 0
                  ? CANN_KEYS "precision_mode_v2 input_format dynamic_batch_size dynamic_image_size dynamic_dims"
                  : CANN_KEYS "precision_mode";
}

/* cuda_execution_provider_info.cc */
static const char cuda_keys[] =
    "device_id has_user_compute_stream user_compute_stream gpu_mem_limit arena_extend_strategy cudnn_conv_algo_search "
    "do_copy_in_default_stream gpu_external_alloc gpu_external_free gpu_external_empty_cache "
    "cudnn_conv_use_max_workspace enable_cuda_graph cudnn_conv1d_pad_to_nc1d tunable_op_enable "
    "tunable_op_tuning_enable tunable_op_max_tuning_duration_ms enable_skip_layer_norm_strict_mode prefer_nhwc "
    "use_ep_level_unified_stream use_tf32 fuse_conv_bias sdpa_kernel";

#define PROVIDER(provider, label, kind, keys_known)                                                            \
  static Status provider##_create(void **out) {                                                                \
    *out = calloc(1, sizeof(Options));                                                                         \
    record("Create" label "ProviderOptions() -> %s", born(kind, *out, NULL, 0));                               \
    return NULL;                                                                                               \
  }                                                                                                            \
  static Status provider##_update(void *options, const char *const *keys, const char *const *values,           \
                                  size_t count) {                                                              \
    char given[MOST_OPTIONS * 130] = "";                                                                       \
    Options received = {0};                                                                                    \
    for (size_t i = 0; i < count && i < MOST_OPTIONS; i++, received.count++) {                                 \
      snprintf(received.keys[i], 64, "%s", keys[i]);                                                           \
      snprintf(received.values[i], 64, "%s", values[i]);                                                       \
    }                                                                                                          \
    print(&received, ", ", given);                                                                             \
    Status status = update(options, keys_known, keys, values, count);                                          \
    record("Update" label "ProviderOptions(%s, %s)%s", name(options), given, outcome(status));                 \
    return status;                                                                                             \
  }                                                                                                            \
  static Status provider##_get_as_string(const void *options, void *allocator, char **out) {                   \
    char given[MOST_OPTIONS * 130];                                                                            \
    print(options, ";", given);                                                                                \
    Status status = REAL(75, Status, (void *, size_t, void **))(allocator, strlen(given) + 1, (void **)out);   \
    if (status == NULL) strcpy(*out, given);                                                                   \
    return status;                                                                                             \
  }                                                                                                            \
  static void provider##_release(void *options) {                                                              \
    record("Release" label "ProviderOptions(%s)", name(options));                                              \
    gone(options);                                                                                             \
    free(options);                                                                                             \
  }
PROVIDER(cann, "CANN", "cannOptions", cann_keys)
PROVIDER(cuda, "CUDA", "cudaOptions", cuda_keys)

static Status cann_append(void *session_options, const void *options) {
  return append("SessionOptionsAppendExecutionProvider_CANN", "CANNExecutionProvider", session_options, options);
}
static Status cuda_append(void *session_options, const void *options) {
  return append("SessionOptionsAppendExecutionProvider_CUDA_V2", "CUDAExecutionProvider", session_options, options);
}

/* --- the table --------------------------------------------------------------------------------------------------- */

static const struct { int slot; void *function; } replaced[] = {
    {3, create_env},
    {7, create_session},
    {8, create_session_from_array},
    {10, create_session_options},
    {17, disable_mem_pattern},
    {24, set_intra_op_num_threads},
    {39, create_run_options},
    {46, set_terminate},
    {47, unset_terminate},
    {48, create_tensor},
    {49, create_tensor_with_data},
    {68, create_memory_info},
    {69, create_cpu_memory_info},
    {94, release_memory_info},
    {95, release_session},
    {96, release_value},
    {97, release_run_options},
    {100, release_session_options},
    {130, add_session_config_entry},
    {131, create_allocator},
    {132, release_allocator},
    {133, run_with_binding},
    {134, create_io_binding},
    {135, release_io_binding},
    {136, bind_input},
    {137, bind_output},
    {144, create_and_register_allocator},
    {156, create_arena_cfg},
    {157, release_arena_cfg},
    {204, cuda_append},
    {205, cuda_create},
    {206, cuda_update},
    {207, cuda_get_as_string},
    {208, cuda_release},
    {220, cann_append},
    {221, cann_create},
    {222, cann_update},
    {223, cann_get_as_string},
    {224, cann_release},
    {320, create_memory_info_v2},
    {380, session_get_memory_info_for_inputs},
    {386, copy_tensors},
    {407, get_assignment},
    {408, get_ep_name},
};

typedef struct {
  const void *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} Base;

static const Base *real_base(void) {
  static const Base *base;
  if (base == NULL) {
    void *library = dlopen(REAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const Base *(*get)(void) = library == NULL ? NULL : (const Base *(*)(void))dlsym(library, "OrtGetApiBase");
    if (get == NULL) {
      fprintf(stderr, "stand-in: %s\n", dlerror());
      abort();
    }
    base = get();
  }
  return base;
}

static const void *get_api(uint32_t version) {
  const void *api = real_base()->get_api(version);
  if (api == NULL) return NULL;
  memcpy(real, api, sizeof real);
  memcpy(table, api, sizeof table);
  for (size_t i = 0; i < COUNT(replaced); i++) table[replaced[i].slot] = replaced[i].function;
  return table;
}

static const char *get_version(void) { return real_base()->get_version(); }

const void *OrtGetApiBase(void) {
  static const Base base = {get_api, get_version};
  return &base;
}
