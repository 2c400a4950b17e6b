package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// serveRuby serves gem and Bundler: the compact index, the older index (specs.4.8,
// quick/Marshal.4.8) that gem falls back to, gems, and pushing.
func serveRuby(w http.ResponseWriter, r *standinRequest) {
	switch {
	case r.Method == http.MethodPost && r.Rest == "api/v1/gems":
		// gem sends the key as it is here, and uses Basic for other requests.
		if _, ok := bearerAuth(r.Request); !ok {
			http.Error(w, "a push needs the token as Bearer", http.StatusUnauthorized)
			return
		}
		if err := pushGem(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, "Successfully registered the gem")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		file, ok := r.Files.Get(r.Rest)
		if !ok {
			http.NotFound(w, r.Request)
			return
		}
		w.Write(file)
	default:
		http.NotFound(w, r.Request)
	}
}

// pushGem stores a gem and rebuilds the index.
func pushGem(r *standinRequest) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-e2e-gems-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sum := sha256.Sum256(body)
	gems := map[string][]byte{hex.EncodeToString(sum[:]) + ".gem": body}
	for _, name := range r.Files.List("gems/") {
		gems[path.Base(name)], _ = r.Files.Get(name)
	}
	for name, gem := range gems {
		if err := os.WriteFile(filepath.Join(dir, name), gem, 0o600); err != nil {
			return err
		}
	}
	index := exec.CommandContext(r.Context(), "ruby", filepath.Join(module, "e2e/testdata/ruby/index.rb"), dir)
	var complaint strings.Builder
	index.Stderr = &complaint
	out, err := index.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, complaint.String())
	}
	files := map[string][]byte{}
	if err := json.Unmarshal(out, &files); err != nil {
		return err
	}
	for name, file := range files {
		r.Files.Put(name, file)
	}
	return nil
}
