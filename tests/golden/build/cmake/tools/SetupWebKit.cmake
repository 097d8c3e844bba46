set(WEBKIT_VERSION 0123456789abcdef0123456789abcdef01234567)
# See https://example.invalid/download/${not_this_one}
set(WEBKIT_URL https://host.invalid/releases/download/${WEBKIT_VERSION}.tar.gz)
