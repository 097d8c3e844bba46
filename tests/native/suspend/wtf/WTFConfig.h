#pragma once
struct WTFConfig {
  int sigThreadSuspendResume;
};
extern WTFConfig g_wtfConfig;
