package e2e

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// addRuby publishes a gem without dependencies, or with one, written NAME>=VERSION after
// the file and a colon. The list of all gems grows at its end, as the public one does.
func (u *upstream) addRuby(file, requires string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	full := strings.TrimSuffix(filepath.Base(file), ".gem")
	i := strings.LastIndex(full, "-")
	name, version := full[:i], full[i+1:]
	u.put("/ruby/gems/"+filepath.Base(file), "application/octet-stream", content)
	if u.docs["ruby"] == nil {
		u.docs["ruby"] = map[string]any{"": "created_at: 2025-01-01T00:00:00Z\n---\n"}
	}
	info, _ := u.docs["ruby"][name].(string)
	if info == "" {
		info = "---\n"
	}
	if dep, least, ok := strings.Cut(requires, ">="); ok {
		requires = dep + ":>= " + least
	}
	sum := sha256.Sum256(content)
	info += version + " " + requires + "|checksum:" + hex.EncodeToString(sum[:]) + "\n"
	u.docs["ruby"][name] = info
	u.docs["ruby"][""] = u.docs["ruby"][""].(string) + fmt.Sprintf("%s %s %x\n", name, version, md5.Sum([]byte(info)))
	u.putText("/ruby/info/"+name, info)
	u.putText("/ruby/versions", u.docs["ruby"][""].(string))
	return nil
}

// putText serves a document of the compact index: its ETag is its MD5.
func (u *upstream) putText(path, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path] = upstreamFile{mediaType: "text/plain", body: []byte(text), modified: time.Now(), etag: fmt.Sprintf(`"%x"`, md5.Sum([]byte(text)))}
}
