package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestImportImages_CatalogIsRefused(t *testing.T) {
	for status, says := range map[int]string{
		http.StatusUnauthorized: "log in with docker login 127.0.0.1:",
		http.StatusForbidden:    "log in with docker login 127.0.0.1:",
		http.StatusNotFound:     "--names names the repositories",
	} {
		registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v2/_catalog") {
				w.WriteHeader(status)
			}
		}))
		t.Cleanup(registry.Close)
		t.Setenv("HOME", t.TempDir())
		c := importImagesCommand{From: "docker://" + strings.TrimPrefix(registry.URL, "http://")}
		source, err := c.dockerSource()
		if err != nil {
			t.Fatal(err)
		}
		err = source.Repositories(t.Context(), func(string) error { return nil })
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}
