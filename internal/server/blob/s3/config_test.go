package s3_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]s3.Config{
		"s3://bucket":                      {Bucket: "bucket"},
		"s3://bucket/":                     {Bucket: "bucket"},
		"s3://my.bucket/a/b_c/?region=x-1": {Bucket: "my.bucket", Prefix: "a/b_c/", Region: "x-1"},
		"s3://bucket/p?endpoint=https://s3.example.com:9000/":                                 {Bucket: "bucket", Prefix: "p/", Endpoint: "https://s3.example.com:9000", PathStyle: true},
		"s3://bucket?endpoint=http://[::1]:1&path_style=false&download_endpoint=https://s.ex": {Bucket: "bucket", Endpoint: "http://[::1]:1", DownloadEndpoint: "https://s.ex"},
	} {
		if got, err := s3.ParseURL(text); err != nil || got != want {
			t.Errorf("ParseURL(%s) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                      "does not begin with s3://",
		"/bucket":                               "does not begin with s3://",
		"https://bucket.s3.amazonaws.com":       "does not begin with s3://",
		"s3://":                                 "name of a bucket",
		"s3://Bucket":                           "name of a bucket",
		"s3://b":                                "name of a bucket",
		"s3://bucket:80":                        "name of a bucket",
		"s3://key:secret@bucket":                "credentials do not belong in it",
		"s3://bucket?access_key=secret":         "the parameter access_key is not known",
		"s3://bucket/a//b":                      "other characters",
		"s3://bucket/../other":                  "other characters",
		"s3://bucket/.hidden":                   "begins with a dot",
		"s3://bucket/a%20b":                     "other characters",
		"s3://bucket#x":                         "fragment",
		"s3://bucket?regoin=x":                  "regoin is not known",
		"s3://bucket?region=a&region=b":         "more than once",
		"s3://bucket?path_style=perhaps":        "path_style",
		"s3://bucket?endpoint=s3.example.com":   "is not an address",
		"s3://bucket?endpoint=ftp://s3.example": "is not an address",
		"s3://bucket?endpoint=https://h/path":   "is not an address",
		"s3://bucket?endpoint=https://u:p@host": "is not an address",
	} {
		_, err := s3.ParseURL(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseURL(%s) = %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the message shows a secret: %v", err)
		}
	}
}

func TestConfig_DownloadHost(t *testing.T) {
	for text, want := range map[string]string{
		"s3://bucket?region=eu-west-1":                                            "",
		"s3://bucket?endpoint=https://s3.example.com:9000":                        "s3.example.com",
		"s3://bucket?endpoint=https://s3.example.com&path_style=false":            "bucket.s3.example.com",
		"s3://bucket?endpoint=http://minio:9000&download_endpoint=https://cdn.ex": "cdn.ex",
	} {
		c, err := s3.ParseURL(text)
		if got := c.DownloadHost(); err != nil || got != want {
			t.Errorf("DownloadHost of %s = %q, %v, want %q", text, got, err, want)
		}
	}
}

// A store that accepts a connection and says nothing does not hold a request for ever.
// While a body is sent, the answer may take longer.
func TestStallingConn(t *testing.T) { synctest.Test(t, stallingConn) }

func stallingConn(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	c := s3.NewStallingConn(client, 20*time.Second)
	defer c.Close()
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := c.Read(make([]byte, 1))
		failed <- err
	}()
	go func() { // takes what is sent, slowly
		p := make([]byte, 1)
		for range 6 {
			if _, err := server.Read(p); err != nil {
				return
			}
		}
	}()
	for range 6 {
		select {
		case err := <-failed:
			t.Fatalf("the read ended while bytes were sent: %v", err)
		case <-time.After(10 * time.Second):
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 80*time.Second {
		t.Errorf("Read = %v after %v", err, time.Since(began))
	}
}
