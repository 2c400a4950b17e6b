package toolenv

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// maven, from 3.9 on, gets the repositories by MAVEN_ARGS as global settings,
// beside the person's own settings.xml. For earlier ones and for settings of a
// project there is CODEARTIFACT_AUTH_TOKEN, to be referred to as
// ${env.CODEARTIFACT_AUTH_TOKEN}.
func maven(s *setter) {
	var servers, repositories, plugins strings.Builder
	for _, e := range s.endpoints {
		if e.Token.Password != "" {
			fmt.Fprintf(&servers, "    <server><id>%s</id><username>aws</username><password>${env.%s}</password></server>\n", e.Name, tokenVariable(e))
		}
		url := escaped(e.Endpoint.String())
		fmt.Fprintf(&repositories, "        <repository><id>%s</id><url>%s</url></repository>\n", e.Name, url)
		fmt.Fprintf(&plugins, "        <pluginRepository><id>%s</id><url>%s</url></pluginRepository>\n", e.Name, url)
	}
	path := s.file("settings.xml", `<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">
  <servers>
`+servers.String()+`  </servers>
  <profiles>
    <profile>
      <id>gatehouse</id>
      <activation><activeByDefault>true</activeByDefault></activation>
      <repositories>
`+repositories.String()+`      </repositories>
      <pluginRepositories>
`+plugins.String()+`      </pluginRepositories>
    </profile>
  </profiles>
  <activeProfiles><activeProfile>gatehouse</activeProfile></activeProfiles>
</settings>
`)
	arguments := "-gs " + path
	if own := s.Places.Getenv("MAVEN_ARGS"); own != "" {
		arguments = own + " " + arguments
	}
	s.set("MAVEN_ARGS", arguments)
}

func escaped(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil { // a Builder does not fail
		panic(err)
	}
	return b.String()
}

// gradle gets project properties: acmeLibUrl, and acmeLibUsername and
// acmeLibPassword, which `credentials(PasswordCredentials)` reads for a
// repository that the build calls acmeLib.
func gradle(s *setter) {
	for _, e := range s.endpoints {
		property := "ORG_GRADLE_PROJECT_" + camel(e.Name)
		s.set(property+"Url", e.Endpoint.String())
		s.user(property+"Username", property+"Password", e)
	}
}
