package scanworker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
)

// The test's program is the worker.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == scanworker.Command {
		os.Exit(scanworker.Main(os.Stdin, os.Stdout))
	}
	if len(os.Args) == 4 && os.Args[1] == probeCommand {
		probe(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

func runner(t *testing.T) scanworker.Runner {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return scanworker.Runner{Program: program, Timeout: 2 * time.Minute}
}

func bytesLayer(b []byte) scanworker.Layer {
	return scanworker.Layer{Digest: "sha256:1", Size: int64(len(b)), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func layerOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := deflatetest.NewGzip(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	got, err := runner(t).Read(t.Context(), []scanworker.Layer{
		bytesLayer(layerOf(t, map[string]string{"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", "lib/apk/db/installed": "P:libcrypto3\nV:3.3.0-r2\nA:x86_64\no:openssl\n\n"})),
		bytesLayer(layerOf(t, map[string]string{"app/node_modules/left/package.json": `{"name":"left","version":"1.0.0"}`})),
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range got.Packages {
		name, version := p.About()
		lines = append(lines, p.Ecosystem+" "+name+" "+version)
	}
	if text := strings.Join(lines, ", "); text != "Alpine:v3.20 openssl 3.3.0-r2, npm left 1.0.0" {
		t.Error(text)
	}
}

// What is wrong with an image is an ImageError; what is wrong with the store is not.
func TestRead_Errors(t *testing.T) {
	whole := layerOf(t, map[string]string{"lib/apk/db/installed": strings.Repeat("P:a\nV:1\n\n", 10_000)})
	for name, body := range map[string][]byte{"truncated gzip": whole[:len(whole)/2], "no archive": []byte(strings.Repeat("x", 10_000)), "damaged zstd": []byte("\x28\xb5\x2f\xfdxxxxxxxx")} {
		_, err := runner(t).Read(t.Context(), []scanworker.Layer{bytesLayer(body), bytesLayer(bytes.Repeat([]byte("y"), 1<<20))})
		if image, ok := errors.AsType[*scanworker.ImageError](err); !ok || !strings.Contains(image.Reason, "sha256:1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the store is down")
	_, err := runner(t).Read(t.Context(), []scanworker.Layer{{Digest: "sha256:2", Size: 1, Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }}})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runner(t).Read(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	never := scanworker.Layer{Digest: "sha256:3", Size: 1 << 30, Open: func(ctx context.Context) (io.ReadCloser, error) { return io.NopCloser(endless{ctx}), nil }}
	short := runner(t)
	short.Timeout = 300 * time.Millisecond
	_, err = short.Read(t.Context(), []scanworker.Layer{never})
	if image, ok := errors.AsType[*scanworker.ImageError](err); !ok || !strings.Contains(image.Reason, "took longer") {
		t.Error(err)
	}
}

// endless never has a byte.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) { <-e.ctx.Done(); return 0, e.ctx.Err() }
