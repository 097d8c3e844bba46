module example.org/fortified

go 1.21
