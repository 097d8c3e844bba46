// Package workload does what real Go modules do: certificates, TLS, an HTTP client,
// JSON, goroutines, a garbage collection and a fault that Go turns into a panic.
package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// A Step is one task of a module. Its name appears in the message of a failure.
type Step struct {
	Name string
	Do   func() error
}

// Steps lists every step, in the order in which they run.
func Steps() []Step {
	return []Step{
		{"json", roundTripJSON},
		{"x509", verifyCertificate},
		{"https", requestOverTLS},
		{"goroutines", meetGoroutines},
		{"gc", collect},
		{"nil dereference", recoverNilDereference},
	}
}

// Lift runs every step, and returns the number of the first that failed, counted from 1,
// with its error, or 0.
func Lift() (int32, error) {
	for i, step := range Steps() {
		if err := step.Do(); err != nil {
			return int32(i + 1), fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	return 0, nil
}

func roundTripJSON() error {
	type record struct {
		Name  string            `json:"name"`
		Parts map[string][]byte `json:"parts"`
	}
	in := record{"größe", map[string][]byte{"a": make([]byte, 4096)}}
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var out record
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	if out.Name != in.Name || len(out.Parts["a"]) != 4096 {
		return errors.New("what came back is not what went in")
	}
	return nil
}

// identity makes a self-signed certificate for the loopback address, and the pool that trusts it.
func identity() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "fixture"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, nil
}

func verifyCertificate() error {
	certificate, pool, err := identity()
	if err != nil {
		return err
	}
	if _, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: pool}); err != nil {
		return err
	}
	_, err = certificate.Leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("an untrusted certificate gave %v", err)
	}
	return nil
}

func requestOverTLS() error {
	certificate, pool, err := identity()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, r.Body)
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go server.ServeTLS(listener, "", "")
	defer server.Close()

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, sent := io.Pipe()
	go func() {
		_, err := sent.Write([]byte("over the wire and back"))
		sent.CloseWithError(err)
	}()
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, "https://"+listener.Addr().String(), body)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if string(answer) != "over the wire and back" {
		return fmt.Errorf("the server answered %q", answer)
	}
	return nil
}

func meetGoroutines() error {
	const count = 64
	numbers := make(chan int)
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			numbers <- i
		}(i)
	}
	go func() {
		group.Wait()
		close(numbers)
	}()
	sum := 0
	for n := range numbers {
		sum += n
	}
	if want := count * (count - 1) / 2; sum != want {
		return fmt.Errorf("the sum is %d, not %d", sum, want)
	}
	return nil
}

func collect() error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	garbage := make([][]byte, 256)
	for i := range garbage {
		garbage[i] = make([]byte, 16<<10)
	}
	runtime.KeepAlive(garbage)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.NumGC <= before.NumGC {
		return errors.New("no collection took place")
	}
	return nil
}

// recoverNilDereference causes a processor fault, so that Go's SIGSEGV handler must turn the signal
// into a panic.
func recoverNilDereference() (err error) {
	defer func() {
		fault, ok := recover().(runtime.Error)
		if !ok {
			err = errors.New("a nil dereference did not panic")
			return
		}
		_ = fault.Error()
	}()
	var nothing *[1 << 10]int
	return fmt.Errorf("reading through nil gave %d", nothing[1])
}
