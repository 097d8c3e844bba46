/* JavaScript values as Cobhan buffers: an int32 length, a reserved int32, then the data. */
#include <stdio.h>
#include <string.h>

#include "../addon/glue.h"
#include "asherah.h"

static bool throw_type_error(napi_env env, const char *argument, const char *problem) {
  char message[128];
  snprintf(message, sizeof message, "%s %s", argument, problem);
  napi_throw_type_error(env, NULL, message);
  return false;
}

static bool fits(napi_env env, const char *argument, const Source *source) {
  if (source->length <= INT32_MAX - HEADER) return true;
  return throw_type_error(env, argument, "is too long");
}

bool read_text(napi_env env, const char *argument, napi_value value, Source *source) {
  *source = (Source){.text = value};
  if (napi_get_value_string_utf8(env, value, NULL, 0, &source->length) != napi_ok) {
    return throw_type_error(env, argument, "has to be a string");
  }
  return fits(env, argument, source);
}

/* The bytes of any view of memory: a Buffer, a typed array of any type, a DataView. */
static bool read_view(napi_env env, napi_value value, Source *source) {
  static const uint8_t sizes[] = {
      [napi_int8_array] = 1,     [napi_uint8_array] = 1,     [napi_uint8_clamped_array] = 1,
      [napi_int16_array] = 2,    [napi_uint16_array] = 2,    [napi_int32_array] = 4,
      [napi_uint32_array] = 4,   [napi_float32_array] = 4,   [napi_float64_array] = 8,
      [napi_bigint64_array] = 8, [napi_biguint64_array] = 8,
  };
  napi_typedarray_type type;
  void *bytes = NULL;
  napi_value memory; /* unused, but Bun 1.0 crashes without a place for it */
  size_t offset;
  bool matches = false;
  if (napi_is_typedarray(env, value, &matches) == napi_ok && matches) {
    if (napi_get_typedarray_info(env, value, &type, &source->length, &bytes, NULL, NULL) !=
            napi_ok ||
        (size_t)type >= sizeof sizes) {
      return false;
    }
    source->length *= sizes[type];
  } else if (napi_is_dataview(env, value, &matches) != napi_ok || !matches ||
             napi_get_dataview_info(env, value, &source->length, &bytes, &memory, &offset) !=
                 napi_ok) {
    return false;
  }
  source->bytes = bytes;
  return true;
}

bool read_data(napi_env env, const char *argument, napi_value value, Source *source) {
  napi_valuetype type;
  *source = (Source){0};
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_string) {
    return read_text(env, argument, value, source);
  }
  if (!read_view(env, value, source)) {
    return throw_type_error(env, argument, "has to be a string, a Buffer or a typed array");
  }
  return fits(env, argument, source);
}

size_t room_of(const Source *source) { return HEADER + source->length + 1; }

bool place(napi_env env, const Source *source, void *buffer) {
  const int32_t header[2] = {(int32_t)source->length, 0};
  size_t copied;
  memcpy(buffer, header, HEADER);
  char *data = (char *)buffer + HEADER;
  if (source->text == NULL) {
    if (source->length > 0) memcpy(data, source->bytes, source->length);
    return true;
  }
  if (napi_get_value_string_utf8(env, source->text, data, source->length + 1, &copied) == napi_ok &&
      copied == source->length) {
    return true;
  }
  throw_last_error(env);
  return false;
}

size_t length_of(const void *buffer) {
  int32_t length;
  memcpy(&length, buffer, sizeof length);
  return length < 0 ? 0 : (size_t)length;
}

void wipe(void *memory, size_t size) {
  memset(memory, 0, size);
  __asm__ volatile("" : : "r"(memory) : "memory");
}
