package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A composeFile has the elements of the Compose specification that deploy/compose uses.
type composeFile struct {
	Name     string                    `json:"name"`
	Common   composeService            `json:"x-gatehouse"`
	Services map[string]composeService `json:"services"`
	Volumes  map[string]any            `json:"volumes"`
	Configs  map[string]struct {
		Content string `json:"content"`
		File    string `json:"file"`
	} `json:"configs"`
}

type composeService struct {
	Image           string                                `json:"image"`
	Command         []string                              `json:"command"`
	Ports           []string                              `json:"ports"`
	Volumes         []string                              `json:"volumes"`
	Configs         []struct{ Source, Target string }     `json:"configs"`
	Environment     map[string]string                     `json:"environment"`
	DependsOn       map[string]struct{ Condition string } `json:"depends_on"`
	Healthcheck     map[string]any                        `json:"healthcheck"`
	Restart         string                                `json:"restart"`
	StopGracePeriod string                                `json:"stop_grace_period"`
	ReadOnly        bool                                  `json:"read_only"`
	CapDrop         []string                              `json:"cap_drop"`
	SecurityOpt     []string                              `json:"security_opt"`
	Tmpfs           []string                              `json:"tmpfs"`
	Ulimits         map[string]int                        `json:"ulimits"`
	Entrypoint      []string                              `json:"entrypoint"`
	User            string                                `json:"user"`
}

// TestCompose checks that each file has no unknown element, that what its services name
// is there, and that the server accepts its configuration.
func TestCompose(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(module, "deploy/compose/*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { testCompose(t, path) })
	}
}

func testCompose(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c composeFile
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		if !strings.Contains(s.Image, ":") {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		for _, volume := range s.Volumes {
			if from, _, _ := strings.Cut(volume, ":"); !strings.HasPrefix(from, ".") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s: there is no volume %s", name, from)
				}
			}
		}
		for dependency, d := range s.DependsOn {
			other, ok := c.Services[dependency]
			if !ok || d.Condition == "service_healthy" && other.Healthcheck == nil && !strings.Contains(other.Image, "gatehouse") {
				t.Errorf("%s waits for the health of %s", name, dependency)
			}
		}
		for _, use := range s.Configs {
			config, ok := c.Configs[use.Source]
			if !ok {
				t.Errorf("%s: there is no configuration %s", name, use.Source)
			}
			if !slices.Contains([]string{"", use.Target}, s.Environment["GATEHOUSE_CONFIG"]) {
				t.Errorf("%s reads another file than %s", name, use.Target)
			}
			content := config.Content
			if config.File != "" {
				text, err := os.ReadFile(filepath.Join(filepath.Dir(path), config.File))
				if err != nil {
					t.Fatal(err)
				}
				content = string(text)
			}
			file := filepath.Join(t.TempDir(), "config")
			if strings.Contains(s.Image, "haproxy") { // which looks its servers up
				for other := range c.Services {
					content = strings.ReplaceAll(content, " "+other+":", " 127.0.0.1:")
				}
			}
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.Contains(s.Image, "haproxy"):
				run(t, "haproxy", "-c", "-q", "-f", file)
				if use.Target != "/usr/local/etc/haproxy/haproxy.cfg" {
					t.Errorf("%s: the image does not read %s", name, use.Target)
				}
			case strings.Contains(s.Image, "gatehouse"):
				checkConfig(t, file)
			default:
				t.Errorf("%s: nothing checks the configuration %s", name, use.Source)
			}
		}
	}
}
