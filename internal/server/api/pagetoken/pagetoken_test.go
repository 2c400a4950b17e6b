package pagetoken_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
)

func TestScope_Cursor(t *testing.T) {
	s := pagetoken.NewScope("ListImages", "team/app", "ANY")
	cursor := []string{"sha256:0123", "", "é\x00\"<"}
	got, err := s.Cursor(s.Next(true, cursor...), 3)
	if err != nil || !slices.Equal(got, cursor) {
		t.Errorf("Cursor = %q, %v; want %q", got, err, cursor)
	}
	if got, err := s.Cursor(nil, 2); err != nil || !slices.Equal(got, []string{"", ""}) {
		t.Errorf("Cursor of no token = %q, %v", got, err)
	}
	if got := s.Next(false, "x"); got != nil {
		t.Errorf("Next without more = %q", *got)
	}
}

// A token of another list is refused: it would leave out a part of this one.
func TestScope_Cursor_OtherScope(t *testing.T) {
	s := pagetoken.NewScope("ListImages", "a", "bc")
	for name, token := range map[string]string{
		"another operation":  pagetoken.NewScope("DescribeImages", "a", "bc").Token("x"),
		"another parameter":  pagetoken.NewScope("ListImages", "a", "bd").Token("x"),
		"parameters split":   pagetoken.NewScope("ListImages", "ab", "c").Token("x"),
		"fewer parameters":   pagetoken.NewScope("ListImages", "a").Token("x"),
		"more in the cursor": s.Token("x", "y"),
		"less in the cursor": s.Token(),
		"cut":                s.Token("xyz")[:13],
		"no base64":          "§",
		"empty":              "",
	} {
		if got, err := s.Cursor(&token, 1); !errors.Is(err, pagetoken.ErrInvalid) {
			t.Errorf("%s: Cursor = %q, %v; want ErrInvalid", name, got, err)
		}
	}
}

// FuzzScope_Cursor reads what clients send: it is refused, or it is n texts that
// make the same token again.
func FuzzScope_Cursor(f *testing.F) {
	s := pagetoken.NewScope("ListPackages", "acme")
	f.Add("", 1)
	f.Add("garbage", 1)
	f.Add(s.Token("a", "b", ""), 3)
	f.Add(s.Token("é\x00\"", "<"), 2)
	f.Fuzz(func(t *testing.T, token string, n int) {
		if n < 0 || n > 3 {
			return
		}
		got, err := s.Cursor(&token, n)
		if err != nil {
			return
		}
		again := s.Token(got...)
		if repeated, err := s.Cursor(&again, n); err != nil || !slices.Equal(repeated, got) || len(got) != n {
			t.Fatalf("%q became %q, %v", got, repeated, err)
		}
	})
}
