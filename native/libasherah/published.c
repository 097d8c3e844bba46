/* The module "libasherah": the functions of every fixture, over the library that asherah's maintainers
 * publish. A constructor opens the published library in the same folder, which starts its Go runtime.
 * So loading this file's library has the same effect as loading the published one.
 *
 * The published library has no IsSetUp and no LastReason. Here IsSetUp remembers a SetupJson that
 * succeeded, and LastReason is always empty. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#ifdef __APPLE__
#define PUBLISHED "libasherah-published.dylib"
#else
#define PUBLISHED "libasherah-published.so"
#endif

enum { HEADER = 8, ROOM = 512, NOT_THERE = -1000, RUN_FAILED = 1 };

static struct {
  int32_t (*set_env)(void *);
  int32_t (*setup_json)(void *);
  void (*shutdown)(void);
  int32_t (*estimate)(int32_t, int32_t);
  int32_t (*encrypt)(void *, void *, void *, void *, void *, void *, void *);
  int32_t (*decrypt)(void *, void *, void *, int64_t, void *, int64_t, void *);
  int32_t (*encrypt_to_json)(void *, void *, void *);
  int32_t (*decrypt_from_json)(void *, void *, void *);
} published;

static atomic_int is_set_up;
static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void open_published(void) {
  Dl_info here;
  char path[4096];
  if (dladdr((void *)open_published, &here) == 0) return;
  const char *slash = strrchr(here.dli_fname, '/');
  int folder = slash ? (int)(slash - here.dli_fname) + 1 : 0;
  if (snprintf(path, sizeof path, "%.*s" PUBLISHED, folder, here.dli_fname) >= (int)sizeof path) {
    return;
  }
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "libasherah: %s\n", dlerror());
    return;
  }
  *(void **)&published.set_env = dlsym(library, "SetEnv");
  *(void **)&published.setup_json = dlsym(library, "SetupJson");
  *(void **)&published.shutdown = dlsym(library, "Shutdown");
  *(void **)&published.estimate = dlsym(library, "EstimateBuffer");
  *(void **)&published.encrypt = dlsym(library, "Encrypt");
  *(void **)&published.decrypt = dlsym(library, "Decrypt");
  *(void **)&published.encrypt_to_json = dlsym(library, "EncryptToJson");
  *(void **)&published.decrypt_from_json = dlsym(library, "DecryptFromJson");
}

EXPORT int32_t SetEnv(void *environment) {
  return published.set_env ? published.set_env(environment) : NOT_THERE;
}

EXPORT int32_t SetupJson(void *configuration) {
  int32_t result = published.setup_json ? published.setup_json(configuration) : NOT_THERE;
  if (result == 0) atomic_store(&is_set_up, 1);
  return result;
}

EXPORT void Shutdown(void) {
  atomic_store(&is_set_up, 0);
  if (published.shutdown) published.shutdown();
}

EXPORT int32_t IsSetUp(void) { return atomic_load(&is_set_up); }

EXPORT int32_t LastReason(char *text, int32_t size) {
  (void)text;
  (void)size;
  return 0;
}

EXPORT int32_t EstimateBuffer(int32_t data, int32_t partition) {
  return published.estimate ? published.estimate(data, partition) : NOT_THERE;
}

EXPORT int32_t Encrypt(void *partition, void *data, void *encrypted, void *key, void *created,
                       void *parent, void *parent_created) {
  if (published.encrypt == NULL) return NOT_THERE;
  return published.encrypt(partition, data, encrypted, key, created, parent, parent_created);
}

EXPORT int32_t Decrypt(void *partition, void *encrypted, void *key, int64_t created, void *parent,
                       int64_t parent_created, void *output) {
  if (published.decrypt == NULL) return NOT_THERE;
  return published.decrypt(partition, encrypted, key, created, parent, parent_created, output);
}

EXPORT int32_t EncryptToJson(void *partition, void *data, void *output) {
  return published.encrypt_to_json ? published.encrypt_to_json(partition, data, output) : NOT_THERE;
}

EXPORT int32_t DecryptFromJson(void *partition, void *record, void *output) {
  if (published.decrypt_from_json == NULL) return NOT_THERE;
  return published.decrypt_from_json(partition, record, output);
}

typedef struct {
  int32_t length, reserved;
  char data[ROOM];
} Buffer;

static Buffer buffer_of(const char *text) {
  Buffer made = {.length = (int32_t)strlen(text)};
  memcpy(made.data, text, strlen(text));
  return made;
}

static int32_t round_trip(void) {
  static const char secret[] = "a secret to keep";
  Buffer partition = buffer_of("partition"), data = buffer_of(secret);
  Buffer record = {.length = ROOM}, decrypted = {.length = ROOM};
  int32_t result = EncryptToJson(&partition, &data, &record);
  if (result == 0) result = DecryptFromJson(&partition, &record, &decrypted);
  if (result != 0) return result;
  return decrypted.length == data.length && memcmp(decrypted.data, secret, strlen(secret)) == 0
             ? 0
             : RUN_FAILED;
}

/* Sets Asherah up, encrypts and decrypts data, and shuts it down. The published library has one
 * Asherah per process. So if SetupJson has set one up, use it and leave it running. */
EXPORT int32_t Run(void) {
  Buffer configuration = buffer_of(
      "{\"ServiceName\":\"service\",\"ProductID\":\"product\",\"Metastore\":\"memory\","
      "\"KMS\":\"static\",\"EnableSessionCaching\":true}");
  pthread_mutex_lock(&running);
  int32_t result = 0;
  int owns_setup = !IsSetUp();
  if (owns_setup) result = SetupJson(&configuration);
  if (result == 0) result = round_trip();
  if (owns_setup) Shutdown();
  pthread_mutex_unlock(&running);
  return result;
}
