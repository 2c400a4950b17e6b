package config_test

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// TestExample_ShowsDefaults checks that the example changes nothing.
func TestExample_ShowsDefaults(t *testing.T) {
	c, err := read(t, config.Example)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	got, want := reflect.ValueOf(*c), reflect.ValueOf(*config.Default())
	for i := range got.NumField() {
		field := got.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		if g, w := got.Field(i).Interface(), want.Field(i).Interface(); !reflect.DeepEqual(g, w) {
			t.Errorf("%s in the example is %v, and the default is %v", field.Tag.Get("yaml"), g, w)
		}
	}
	// A default that the example comments out would not be seen above.
	shown := settings(t, config.Example)
	for path, value := range nonZero("", want) {
		if !slices.Contains(shown, path) {
			t.Errorf("%s has the default %v, which the example does not show", path, value)
		}
	}
}

// uncommented is the example with every setting.
func uncommented() string {
	return regexp.MustCompile(`(?m)^#([^ \n]|  )`).ReplaceAllString(config.Example, "$1")
}

// TestExample_HasEverySetting checks that the example with its commented lines names
// each field of the configuration, and is valid.
func TestExample_HasEverySetting(t *testing.T) {
	text := uncommented()
	c, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	has := settings(t, text)
	for _, path := range fields("", reflect.TypeFor[config.Config]()) {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\*`, `.+`) + "$")
		if !slices.ContainsFunc(has, pattern.MatchString) && !strings.HasPrefix(path, "iam.accounts.*.") {
			t.Errorf("the example does not have %s", path)
		}
	}
}

// settings returns the paths of all keys of a document.
func settings(t *testing.T, text string) []string {
	t.Helper()
	var document map[string]any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	var paths []string
	var add func(in string, node any)
	add = func(in string, node any) {
		if m, ok := node.(map[string]any); ok {
			for key, value := range m {
				paths = append(paths, in+key)
				add(in+key+".", value)
			}
		}
	}
	add("", document)
	return paths
}

// fields returns the paths of the fields of a configuration. The keys of maps are *.
func fields(in string, t reflect.Type) (paths []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Map {
		return fields(in+"*.", t.Elem())
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || tag == "-" || tag == "" && options == "": // a document has a form of its own
		case options == "inline":
			paths = append(paths, fields(in, f.Type)...)
		default:
			paths = append(append(paths, in+tag), fields(in+tag+".", f.Type)...)
		}
	}
	return paths
}

// nonZero returns the leaves of a configuration that are not zero.
func nonZero(in string, v reflect.Value) map[string]any {
	all := map[string]any{}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		switch f := v.Field(i); {
		case tag == "" || f.IsZero():
		case tag == ",inline":
			maps.Copy(all, nonZero(in, f))
		case f.Kind() == reflect.Struct:
			maps.Copy(all, nonZero(in+tag+".", f))
		default:
			all[in+tag] = f.Interface()
		}
	}
	return all
}
