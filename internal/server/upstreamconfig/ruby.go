package upstreamconfig

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
)

// bundlerMirror is the setting of a mirror for all sources.
const bundlerMirror = "BUNDLE_MIRROR__ALL"

// ruby looks where Bundler has a mirror for all sources, and then at gem's sources.
func ruby(e Environment) (address, error) {
	if a, ok := e.variable("bundler", bundlerMirror); ok {
		return a, nil
	}
	bundler := e.Getenv("BUNDLE_USER_CONFIG")
	if bundler == "" {
		bundler = e.home(".bundle", "config")
	}
	a, err := e.first("bundler", func(text string) (string, error) {
		var file map[string]any
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			return "", errors.New("it is not YAML")
		}
		url, _ := file[bundlerMirror].(string)
		return url, nil
	}, bundler)
	if !errors.Is(err, errNotSet) {
		return a, err
	}
	return e.first("gem", gemSource, e.Getenv("GEMRC"), e.home(".gemrc"), e.configHome("gem", "gemrc"), e.system("etc/gemrc"))
}

// gemSource returns the first source of a .gemrc. The name of the setting is a symbol or a
// string of Ruby.
func gemSource(text string) (string, error) {
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return "", errors.New("it is not YAML")
	}
	for _, key := range []string{":sources", "sources"} {
		sources, _ := file[key].([]any)
		for _, s := range sources {
			if url, ok := s.(string); ok && strings.Contains(url, "://") {
				return url, nil
			}
		}
	}
	return "", nil
}
