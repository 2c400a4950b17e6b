package maven_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// An index is read only from callers who may put one, or may read: a caller who may do
// neither gets no word about its size.
func TestPutIndex_AuthorizedFirst(t *testing.T) {
	app, _ := start(t)
	large := strings.Repeat("<plugin/>", 600_000) // more than is accepted
	for _, path := range []string{"com/acme/lib/maven-metadata.xml", "com/acme/maven-metadata.xml", "com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml"} {
		app.do(http.StatusForbidden, formatstest.Publisher, "PUT", path, large)
	}
}

// Each plug-in that the index of a group names is a permission to ask for.
func TestPutIndex_ManyPlugins(t *testing.T) {
	app, _ := start(t)
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, "<plugin><artifactId>p%d</artifactId></plugin>", i)
	}
	index := func(plugins string) string { return "<metadata><plugins>" + plugins + "</plugins></metadata>" }
	app.do(http.StatusBadRequest, formatstest.Reader, "PUT", "com/acme/maven-metadata.xml", index(many.String()))
	one := "<plugin><artifactId>p</artifactId></plugin>"
	app.do(http.StatusForbidden, formatstest.Reader, "PUT", "com/acme/maven-metadata.xml", index(strings.Repeat(one, 50_000)))
	app.do(http.StatusCreated, formatstest.Admin, "PUT", "com/acme/maven-metadata.xml", index(strings.Repeat(one, 50_000)))
}

// What is kept with the files of all versions is in memory together, and in the index of
// the group.
func TestPOM_LongNames(t *testing.T) {
	app, _ := start(t)
	app.put("com/acme/p/1.0/p-1.0.pom", strings.Replace(pom("p", "1.0", "maven-plugin"), "</project>", "<name>"+strings.Repeat("n", 500_000)+"</name></project>", 1))
	app.put("com/acme/p/maven-metadata.xml", artifactIndex("p", "1.0"))
	if got := app.get("com/acme/maven-metadata.xml"); len(got) > 1000 {
		t.Errorf("the index of the group has %d bytes", len(got))
	}
}
