module github.com/awnumar/memcall

go 1.21
