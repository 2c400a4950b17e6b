//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// A namespace is another host: a network namespace that is joined to the test's
// by a pair of virtual interfaces.
type namespace struct {
	path string // of its file
	peer string // the address of the test's end, which the other host dials
}

// newNamespace needs root, as CI has it.
func newNamespace(t *testing.T) namespace {
	t.Helper()
	name := fmt.Sprintf("gatehouse-%d", os.Getpid())
	link := fmt.Sprintf("gh%d", os.Getpid()) // an interface's name has 15 characters at most
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del: %v: %s", err, out)
		}
	})
	// TEST-NET-2 (RFC 5737): no real network has these addresses.
	run("link", "add", link+"a", "type", "veth", "peer", "name", link+"b", "netns", name)
	run("address", "add", "198.51.100.1/30", "dev", link+"a")
	run("link", "set", link+"a", "up")
	run("-n", name, "address", "add", "198.51.100.2/30", "dev", link+"b")
	run("-n", name, "link", "set", link+"b", "up")
	return namespace{path: filepath.Join("/run/netns", name), peer: "198.51.100.1"}
}

// dial connects to the test's host from the other one.
func (n namespace) dial(t *testing.T, port string) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A socket belongs to the namespace of the thread that opens it. The thread
		// is not given back, and so it ends with the goroutine.
		runtime.LockOSThread()
		f, openErr := os.Open(n.path)
		if err = openErr; err != nil {
			return
		}
		defer f.Close()
		if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
			c, err = new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(n.peer, port))
		}
	}()
	<-done
	if err != nil {
		t.Fatalf("from another host: %v", err)
	}
	return c
}

// dialLoopback connects to the test's host from itself.
func dialLoopback(t *testing.T, port string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listening starts a server on every address and returns its port and the keys of
// its admin.
func listening(t *testing.T, change func(*config.Config)) (port, keyID, secret string) {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Log.Level = filepath.Join(t.TempDir(), "data"), "0.0.0.0:0", "error"
	change(c)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(filepath.Join(c.Data, "aws/credentials"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			keyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			secret = strings.TrimSpace(value)
		}
	}
	return s.URL()[strings.LastIndexByte(s.URL(), ':')+1:], keyID, secret
}

// errorCode sends a request as it stands over a connection and returns the code
// of the error in the answer, or "".
func errorCode(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(waitTimeout))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return ""
	}
	return res.Header.Get("X-Amzn-Errortype")
}

// signedCall is a request for an ECR token. signed says which headers are signed,
// and change what happens to the text of the headers on the way.
func signedCall(keyID, secret, signed string, change func(string) string) string {
	const body = "{}"
	date := time.Now().UTC().Format("20060102T150405Z")
	values := map[string]string{
		"host": "gatehouse.example", "content-type": "application/x-amz-json-1.1", "x-amz-date": date,
		"x-amz-target": tokenTarget, "x-amz-content-sha256": sha256Hex(body),
	}
	var canonical, headers strings.Builder
	for name := range strings.SplitSeq(signed, ";") {
		canonical.WriteString(name + ":" + values[name] + "\n")
	}
	for _, name := range []string{"content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-target"} {
		headers.WriteString(name + ": " + values[name] + "\r\n")
	}
	scope := date[:8] + "/" + region + "/ecr/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+
		sha256Hex("POST\n/\n\n"+canonical.String()+"\n"+signed+"\n"+sha256Hex(body))) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return "POST / HTTP/1.1\r\n" + change(headers.String()) + "content-length: 2\r\nauthorization: AWS4-HMAC-SHA256 Credential=" + keyID + "/" + scope +
		", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(key) + "\r\n\r\n" + body
}

const (
	tokenTarget = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
	otherTarget = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"
)

// Clients may leave the target and the hash of the body out of their signature,
// but the target not if somebody on the way could change it.
func TestUnsignedTargetAndHash(t *testing.T) {
	const (
		all        = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target"
		noTarget   = "content-type;host;x-amz-content-sha256;x-amz-date"
		noHash     = "content-type;host;x-amz-date;x-amz-target"
		ok         = ""
		incomplete = "IncompleteSignatureException"
		invalid    = "InvalidSignatureException"
		unknown    = "UnknownOperationException"
	)
	replaced := func(old, new string) func(string) string {
		return func(headers string) string {
			changed := strings.Replace(headers, old, new, 1)
			if changed == headers && old != new {
				panic("the headers have no " + old)
			}
			return changed
		}
	}
	target, hash := "x-amz-target: "+tokenTarget+"\r\n", "x-amz-content-sha256: "+sha256Hex("{}")+"\r\n"
	other := newNamespace(t)
	plainPort, plainID, plainSecret := listening(t, func(*config.Config) {})
	tlsPort, tlsID, tlsSecret := listening(t, func(c *config.Config) { c.TLS = new(config.TLS) })

	for _, c := range []struct {
		description                    string
		signed                         string
		change                         func(string) string
		loopback, overTLS, overNetwork string
	}{
		{"everything is signed", all, replaced("", ""), ok, ok, ok},
		{"the hash is not signed", noHash, replaced("", ""), ok, ok, ok},
		{"the target is not signed", noTarget, replaced("", ""), ok, ok, incomplete},
		{"neither is signed, as by OCaml's awso", "content-type;host;x-amz-date", replaced("", ""), ok, ok, incomplete},

		{"a signed target is swapped", all, replaced(tokenTarget, otherTarget), invalid, invalid, invalid},
		{"a signed target is doubled", all, replaced(target, target+target), invalid, invalid, invalid},
		{"a signed target is removed from the headers", all, replaced(target, ""), unknown, unknown, unknown},
		// Only the client itself can do that on the first two channels.
		{"an unsigned target is swapped", noTarget, replaced(tokenTarget, otherTarget), ok, ok, incomplete},
		{"an unsigned target is doubled", noTarget, replaced(target, target+"x-amz-target: "+otherTarget+"\r\n"), incomplete, incomplete, incomplete},
		{"an unsigned target is folded", noTarget, replaced("_V20150921.", "_V20150921.\r\n "), unknown, unknown, unknown},
		{"an unsigned target is empty", noTarget, replaced(target, "x-amz-target:\r\n"), unknown, unknown, unknown},

		{"a signed hash is swapped", all, replaced(hash, "x-amz-content-sha256: "+sha256Hex("[]")+"\r\n"), invalid, invalid, invalid},
		{"an unsigned hash is swapped", noHash, replaced(hash, "x-amz-content-sha256: "+sha256Hex("[]")+"\r\n"), invalid, invalid, invalid},
		{"an unsigned hash is doubled", noHash, replaced(hash, hash+hash), incomplete, incomplete, incomplete},
		{"an unsigned hash is folded", noHash, replaced(hash, strings.TrimSpace(hash)+"\r\n "+sha256Hex("{}")+"\r\n"), incomplete, incomplete, incomplete},
		{"an unsigned hash is empty", noHash, replaced(hash, "x-amz-content-sha256:\r\n"), incomplete, incomplete, incomplete},
		{"an unsigned hash says that the payload is not signed", noHash, replaced(hash, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"), incomplete, incomplete, incomplete},
		{"a session token is added", noTarget, replaced(hash, hash+"x-amz-security-token: t\r\n"), incomplete, incomplete, incomplete},
		{"the date is not signed", "content-type;host", replaced("", ""), incomplete, incomplete, incomplete},
		{"the host is not signed", "content-type;x-amz-date", replaced("", ""), incomplete, incomplete, incomplete},
	} {
		t.Run(c.description, func(t *testing.T) {
			plain := signedCall(plainID, plainSecret, c.signed, c.change)
			if got := errorCode(t, dialLoopback(t, plainPort), plain); got != c.loopback {
				t.Errorf("from loopback: %q, want %q", got, c.loopback)
			}
			if got := errorCode(t, other.dial(t, plainPort), plain); got != c.overNetwork {
				t.Errorf("over plain HTTP from another host: %q, want %q", got, c.overNetwork)
			}
			secure := tls.Client(other.dial(t, tlsPort), &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"})
			if got := errorCode(t, secure, signedCall(tlsID, tlsSecret, c.signed, c.change)); got != c.overTLS {
				t.Errorf("over TLS from another host: %q, want %q", got, c.overTLS)
			}
		})
	}

	// A setting decides otherwise, in both directions.
	for setting, want := range map[string][3]string{"never": {incomplete, incomplete, incomplete}, "always": {ok, ok, ok}} {
		t.Run("unsigned_target "+setting, func(t *testing.T) {
			port, id, secret := listening(t, func(c *config.Config) { c.UnsignedTarget = setting })
			tlsPort, tlsID, tlsSecret := listening(t, func(c *config.Config) { c.UnsignedTarget, c.TLS = setting, new(config.TLS) })
			call := signedCall(id, secret, noTarget, replaced("", ""))
			secure := tls.Client(other.dial(t, tlsPort), &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"})
			got := [3]string{
				errorCode(t, dialLoopback(t, port), call),
				errorCode(t, secure, signedCall(tlsID, tlsSecret, noTarget, replaced("", ""))),
				errorCode(t, other.dial(t, port), call),
			}
			if !slices.Equal(got[:], want[:]) {
				t.Errorf("loopback, TLS and plain HTTP: %q, want %q", got, want)
			}
		})
	}

	// Behind a trusted proxy the connection of the client counts, not the proxy's.
	port, id, secret := listening(t, func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	for forwarded, want := range map[string]string{
		"x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\n":  incomplete,
		"x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\n": ok,
		"x-forwarded-for: 192.0.2.7\r\n":                             incomplete,
	} {
		call := signedCall(id, secret, noTarget, func(headers string) string { return forwarded + headers })
		if got := errorCode(t, dialLoopback(t, port), call); got != want {
			t.Errorf("behind a trusted proxy with %q: %q, want %q", forwarded, got, want)
		}
	}
}
