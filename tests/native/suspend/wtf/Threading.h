#pragma once
// What SuspendHandler.cpp asks of WTF, over pthreads.
#include <pthread.h>

namespace WTF {
class StackBounds {
 public:
  bool contains(const void *pointer) const { return pointer <= m_origin && pointer > m_bound; }
  const void *m_origin;
  const void *m_bound;
};
class Thread {
 public:
  static Thread *currentMayBeNull() { return s_current; }
  const StackBounds &stack() const { return m_stack; }
  void adopt() {
    pthread_attr_t attributes;
    void *bottom;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &size);
    pthread_attr_destroy(&attributes);
    m_stack = {static_cast<char *>(bottom) + size, bottom};
    s_current = this;
  }
  StackBounds m_stack;
  inline static thread_local Thread *s_current = nullptr;
};
}  // namespace WTF
