module gobun

go 1.21
