package e2e

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"hash"
	"net/http"
	"path"
	"strings"
)

// serveMaven serves GET and PUT of files in Maven's repository layout. An uploaded
// checksum must match its file; a missing one is computed.
func serveMaven(w http.ResponseWriter, r *standinRequest) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		file, ok := r.Files.Get(r.Rest)
		if !ok {
			file, ok = mavenChecksum(r.Files, r.Rest)
		}
		if !ok {
			http.NotFound(w, r.Request)
			return
		}
		w.Write(file)
	case http.MethodPut:
		file, err := r.body()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if want, ok := mavenChecksum(r.Files, r.Rest); ok && !strings.EqualFold(strings.TrimSpace(string(file)), string(want)) {
			http.Error(w, "the checksum does not match the file", http.StatusBadRequest)
			return
		}
		r.Files.Put(r.Rest, file)
		w.WriteHeader(http.StatusCreated)
	default:
		http.Error(w, "not part of Maven's protocol", http.StatusMethodNotAllowed)
	}
}

// mavenChecksum computes the checksum that a path names, in hexadecimal.
func mavenChecksum(files *fileStore, name string) ([]byte, bool) {
	var sum hash.Hash
	switch path.Ext(name) {
	case ".sha1":
		sum = sha1.New()
	case ".md5":
		sum = md5.New()
	default:
		return nil, false
	}
	file, ok := files.Get(strings.TrimSuffix(name, path.Ext(name)))
	sum.Write(file)
	return []byte(hex.EncodeToString(sum.Sum(nil))), ok
}
