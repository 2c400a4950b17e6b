package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// rawToken returns the token of cargo's Authorization header, which has no scheme (The Cargo Book,
// "Registry Web API").
func rawToken(r *http.Request) (string, bool) {
	token := r.Header.Get("Authorization")
	return token, token != "" && !strings.Contains(token, " ")
}

// serveCargo speaks a sparse index (The Cargo Book, "Registry Index") and the
// parts of the web API for publishing and downloading.
func serveCargo(w http.ResponseWriter, r *standinRequest) {
	switch {
	case r.Method == http.MethodGet && r.Rest == "config.json":
		answerJSON(w, map[string]any{"dl": r.Base + "api/v1/crates", "api": strings.TrimSuffix(r.Base, "/"), "auth-required": true})
	case r.Method == http.MethodPut && r.Rest == "api/v1/crates/new":
		if err := publishCrate(r); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			answerJSON(w, map[string]any{"errors": []map[string]string{{"detail": err.Error()}}})
			return
		}
		answerJSON(w, map[string]any{"warnings": map[string][]string{"invalid_categories": {}, "invalid_badges": {}, "other": {}}})
	case r.Method == http.MethodGet:
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

// A crateVersion is the metadata of a publish request. With its last fields it is a
// line of the index.
type crateVersion struct {
	Name        string              `json:"name"`
	Version     string              `json:"vers"`
	Deps        []crateDependency   `json:"deps"`
	Features    map[string][]string `json:"features"`
	Links       *string             `json:"links"`
	RustVersion *string             `json:"rust_version"`
	Checksum    string              `json:"cksum"`
	Yanked      bool                `json:"yanked"`
}

// A crateDependency names the requirement differently in a publish request and in the
// index.
type crateDependency struct {
	Name            string   `json:"name"`
	VersionReq      string   `json:"version_req,omitempty"`
	Req             string   `json:"req"`
	Features        []string `json:"features"`
	Optional        bool     `json:"optional"`
	DefaultFeatures bool     `json:"default_features"`
	Target          *string  `json:"target"`
	Kind            string   `json:"kind"`
	Registry        *string  `json:"registry"`
}

// publishCrate stores a crate and its line in the index.
func publishCrate(r *standinRequest) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	about, rest, ok := counted(body)
	if !ok {
		return errors.New("the description of the crate is cut off")
	}
	crate, _, ok := counted(rest)
	if !ok {
		return errors.New("the crate is cut off")
	}
	var v crateVersion
	if err := json.Unmarshal(about, &v); err != nil {
		return err
	}
	file := "api/v1/crates/" + v.Name + "/" + v.Version + "/download"
	if _, ok := r.Files.Get(file); ok {
		return errors.New("this version is there already")
	}
	for i := range v.Deps {
		v.Deps[i].Req, v.Deps[i].VersionReq = v.Deps[i].VersionReq, ""
	}
	sum := sha256.Sum256(crate)
	v.Checksum = hex.EncodeToString(sum[:])
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.Files.Put(file, crate)
	index := indexPath(v.Name)
	lines, _ := r.Files.Get(index)
	r.Files.Put(index, append(bytes.Clone(lines), append(line, '\n')...))
	return nil
}

// counted splits off a part whose length is the little-endian number before it.
func counted(body []byte) (part, rest []byte, ok bool) {
	if len(body) < 4 {
		return nil, nil, false
	}
	n := int(body[0]) | int(body[1])<<8 | int(body[2])<<16 | int(body[3])<<24
	if body = body[4:]; len(body) < n {
		return nil, nil, false
	}
	return body[:n], body[n:], true
}

// indexPath returns a crate's path in the index.
func indexPath(name string) string {
	name = strings.ToLower(name)
	switch len(name) {
	case 1, 2:
		return string(rune('0'+len(name))) + "/" + name
	case 3:
		return "3/" + name[:1] + "/" + name
	}
	return name[:2] + "/" + name[2:4] + "/" + name
}
