package credential_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

const book = `# mine
["images.example:5000"]
profile = "work" # the other account
endpoint_url = "https://gate.example"

["127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme"]
region = "eu-west-1"
duration = "15m"

["127.0.0.1:4283"]
profile = "all"
`

func TestAddresses_Find(t *testing.T) {
	addresses, err := credential.ParseAddresses([]byte(book))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"images.example:5000": "work", "https://images.example:5000/v2/": "work", "IMAGES.example:5000/team/app": "work",
		"images.example": "", "x.images.example:5000": "", "": "",
		"localhost:4283": "all", "http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme2/npm/lib/": "all",
		"http://aws@127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme/npm/lib/": "15m0s",
		"http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme":              "15m0s",
	} {
		got := addresses.Find(address)
		if got.Profile != want && got.Duration.String() != want {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

// Of two entries that an address could mean, the one that is named by it counts.
func TestAddresses_Find_SameMachineTwice(t *testing.T) {
	addresses, err := credential.ParseAddresses([]byte("[\"127.0.0.1:4283\"]\nprofile = \"number\"\n[\"localhost:4283\"]\nprofile = \"name\"\n[\"[::1]:4283/codeartifact/us-east-1/111122223333/acme\"]\nprofile = \"path\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for address, want := range map[string]string{
			"127.0.0.1:4283": "number", "http://127.0.0.1:4283/v2/": "number", "localhost:4283": "name", "http://LOCALHOST:4283": "name",
			"http://localhost:4283/codeartifact/us-east-1/111122223333/acme/npm/lib/": "path", "[::1]:4283": "name",
		} {
			if got := addresses.Find(address); got.Profile != want {
				t.Errorf("%s: %+v", address, got)
			}
		}
		slices.Reverse(addresses)
	}
}

func TestParseAddresses_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"[\"a.example\"]\nprofil = \"x\"\n":                      "line 2: unknown key a.example.profil",
		"\n[\"a.example\"\n":                                     "line 2: ",
		"[\"a.example\"]\n\nduration = \"5m\"\n":                 "line 3: ",
		"[\"a.example\"]\nendpoint_url = \"gate.example\"\n":     "line 2: ",
		"[\"https://a.example/\"]\nprofile = \"x\"\n":            "line 1: ",
		"# x\n[\"A.example\"]\nprofile = \"x\"\n":                "line 2: ",
		"[\"a.example\"]\nprofile = 1\n":                         "line 2: ",
		"profile = \"x\"\n":                                      "line 1: ",
		"[\"a.example\"]\nprofile=\"x\"\n[\"a.example\"]\n":      "line 3: ",
		"[\"a.example\"]\nprofile = \"x\"\nprofile = \"y\"\n":    "line 3: ",
		"[\"a.example\"]\nduration = \"1h\"\nregion = [\"x\"]\n": "line 3: ",
	} {
		if _, err := credential.ParseAddresses([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "addresses.toml")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := credential.ReadAddresses(path); err == nil || !strings.HasPrefix(err.Error(), path+": line 1: ") {
		t.Error(err)
	}
	if _, err := credential.ReadAddresses(dir); err == nil {
		t.Error("a folder was read")
	}
	if addresses, err := credential.ReadAddresses(filepath.Join(dir, "none")); err != nil || addresses != nil {
		t.Errorf("%v, %v", addresses, err)
	}
}

// What is remembered is found, leaves the rest of the file alone, and is gone
// when it is forgotten.
func TestSetAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := credential.Address{
			Host: rapid.SampledFrom([]string{"new.example", "images.example:5000", "127.0.0.1:4283/codeartifact/us-east-1/111122223333/other"}).Draw(t, "host"),
			AWS: credential.AWS{
				Profile:     rapid.SampledFrom([]string{"", "work", `a "b" \c`, "ä", "x = 1 # y"}).Draw(t, "profile"),
				Region:      rapid.SampledFrom([]string{"", "eu-west-1"}).Draw(t, "region"),
				EndpointURL: rapid.SampledFrom([]string{"", "http://127.0.0.1:4283"}).Draw(t, "endpoint"),
			},
			Duration: rapid.SampledFrom([]time.Duration{0, 900 * time.Second, time.Hour, 12 * time.Hour}).Draw(t, "duration"),
		}
		before := rapid.SampledFrom([]string{"", book, "# only this\n", strings.ReplaceAll(book, "\n", "\r\n")}).Draw(t, "before")
		text, err := credential.SetAddress([]byte(before), a)
		if err != nil {
			t.Fatal(err)
		}
		again, err := credential.SetAddress(text, a)
		if err != nil || string(again) != string(text) {
			t.Fatalf("again: %v\n%s", err, again)
		}
		addresses, err := credential.ParseAddresses(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := addresses.Find(a.Host); !a.Empty() && got != a {
			t.Fatalf("found %+v", got)
		}
		gone, err := credential.RemoveAddress(text, a.Host)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(before, `"`+a.Host+`"`) && string(gone) != before {
			t.Fatalf("%q instead of %q", gone, before)
		}
	})
}

func TestAddressOf(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/":       "acme-111122223333.d.codeartifact.us-east-1.amazonaws.com",
		"http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme/pypi/lib/simple/": "127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme",
		"http://127.0.0.1:4283": "127.0.0.1:4283",
	} {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := credential.AddressOf(u); got != want {
			t.Errorf("%s: %s", endpoint, got)
		}
	}
}

// The entry chooses who issues the token, and not where it is sent.
func TestLookup_AddressBook(t *testing.T) {
	s := &service{registry: "https://gate.example"}
	l := s.lookup("")
	config := l.Config
	l.Config = func(ctx context.Context, region string, remembered credential.AWS) (aws.Config, error) {
		cfg, err := config(ctx, region, remembered)
		if remembered.EndpointURL != "" {
			cfg.BaseEndpoint = &remembered.EndpointURL
		}
		return cfg, err
	}
	entry := credential.AWS{EndpointURL: "https://gate.example"}
	l.Addresses = func() (credential.Addresses, error) {
		return credential.Addresses{{Host: "gate.example", AWS: entry}, {Host: "evil.example", AWS: entry}}, nil
	}
	for _, address := range []string{"gate.example", "https://gate.example/codeartifact/us-east-1/111122223333/acme/npm/lib/"} {
		if _, err := l.Token(t.Context(), address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := l.Token(t.Context(), "evil.example"); !errors.Is(err, credential.ErrNotOurs) {
		t.Error(err)
	}
	l.Addresses = func() (credential.Addresses, error) { return nil, errors.New("addresses.toml: line 3: no") }
	if _, err := l.Token(t.Context(), "gate.example"); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Error(err)
	}
}

// What the helper was told goes before the address book, and that before the
// shell.
func TestLoadRemembered_Precedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	text := "[profile shell]\nregion = us-west-1\n[profile entry]\nregion = us-west-2\n[profile flag]\nregion = eu-west-1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_PROFILE", "shell")
	entry := credential.AWS{Profile: "entry"}
	for _, c := range []struct {
		told, remembered credential.AWS
		region, want     string
	}{
		{want: "us-west-1"},
		{remembered: entry, want: "us-west-2"},
		{told: credential.AWS{Profile: "flag"}, remembered: entry, want: "eu-west-1"},
		{told: credential.AWS{Region: "eu-west-3"}, remembered: entry, want: "eu-west-3"},
		{told: credential.AWS{Region: "eu-west-3"}, remembered: entry, region: "ap-south-1", want: "ap-south-1"},
	} {
		cfg, err := c.told.LoadRemembered(t.Context(), c.region, c.remembered)
		if err != nil || cfg.Region != c.want {
			t.Errorf("%+v: %s, %v", c, cfg.Region, err)
		}
	}
}

func FuzzAddresses(f *testing.F) {
	f.Add(book)
	f.Add("[\"a.example\"]\nregion = \"x\"\n")
	f.Add("\"a.example\" = {profile = 'x'} # inline\n")
	f.Add("\"a.example\".profile = 'x'\n[\"a.example\"]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := credential.ParseAddresses([]byte(text)); err != nil {
			return
		}
		a := credential.Address{Host: "fuzz.example", AWS: credential.AWS{Profile: "p"}}
		set, err := credential.SetAddress([]byte(text), a)
		if err != nil {
			return
		}
		addresses, err := credential.ParseAddresses(set)
		if err != nil || addresses.Find("fuzz.example").Profile != "p" {
			t.Fatalf("%v: %q", err, set)
		}
		if _, err := credential.RemoveAddress(set, "fuzz.example"); err != nil {
			t.Fatal(err)
		}
	})
}
