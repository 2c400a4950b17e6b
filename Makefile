# make unit runs lint and the package tests and needs only Go and a C compiler.
# make test runs everything and installs the real clients that e2e drives.
.DEFAULT_GOAL := build
.PHONY: build image image-context test unit stores e2e real lint bench bench-applications bench-stores bench-scale bench-scale-stores fuzz clients generate

# A program with the race detector waits a second before it exits, for reports that are
# still being written. The tests start programs thousands of times.
export GORACE ?= atexit_sleep_ms=10
RACE := $(shell grep -v '^\#' scripts/raceflags)

build:
	go build -ldflags "-X main.buildDate=$$(date -u +%Y-%m-%dT%H:%M:%SZ)" -o bin/gatehouse ./cmd/gatehouse

# A container image without a base image: deploy/container/Dockerfile. ENGINE is docker,
# podman or buildah.
ENGINE ?= docker
IMAGE ?= gatehouse:latest
image: image-context
	$(ENGINE) build -t $(IMAGE) bin/image

# The context of the image.
image-context:
	rm -rf bin/image
	mkdir -p bin/image
	mkdir -m 0700 bin/image/data
	cp deploy/container/Dockerfile bin/image/
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.buildDate=$$(date -u +%Y-%m-%dT%H:%M:%SZ)" -o bin/image/gatehouse ./cmd/gatehouse

# Everything that a change has to pass.
test: unit stores e2e

lint:
	@test -z "$$(go tool gofumpt -l $$(git ls-files '*.go'))" || { echo 'not formatted; run: go tool gofumpt -w .'; go tool gofumpt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool staticcheck ./...

# No real client and no network but the Go module proxy.
unit: lint
	go test $(RACE) $(TESTFLAGS) -timeout 30m $$(go list ./... | grep -v /e2e)

# The packages whose tests open a store, on PostgreSQL and S3 instead of SQLite and
# files, and the tests of these two engines. Package app has a server's tests, of
# which only those for these engines run here: TestStores….
OPENS_STORE = ^[^ ]*\.test .*/server/(db/dbtest|blob/blobtest)( |$$)
STORED = db blob changefeed work iam images packages oci api formats advisories source
stores:
	GATEHOUSE_TEST_DATABASE=postgres GATEHOUSE_TEST_BLOBS=s3 scripts/with-stores sh -e -c '\
		packages=$$(go list -test -tags stores -f "{{.ImportPath}} {{join .Deps \" \"}}" $(STORED:%=./internal/server/%/...) | grep -E "$(OPENS_STORE)" | sed "s/\.test .*//"); \
		go test $(RACE) -tags stores $(TESTFLAGS) -timeout 20m $${packages:?}; \
		go test $(RACE) -tags stores $(TESTFLAGS) -timeout 20m -run "^TestStores" ./internal/server/app'

# The built binary, driven by real clients. Go caches a pass without seeing that
# the binary has changed, hence -count=1.
e2e: clients
	go test $(RACE) -count=1 $(TESTFLAGS) -parallel 3 -timeout 60m ./e2e/...

# Real packages of each ecosystem, from the registries that the clients of this machine
# use: published to the built binary and installed from it by their lock files.
real: clients
	go test $(RACE) -tags real -count=1 $(TESTFLAGS) -timeout 40m -run '^TestReal$$' ./e2e

clients:
	scripts/install-clients

bench:
	go run ./bench

# Real applications through an external connection, compared with the same client without
# Gatehouse. The packages are fetched from the registries that this machine's clients use.
bench-applications: clients
	go run ./bench/applications

# The same on PostgreSQL and S3.
bench-stores:
	scripts/with-stores sh -c 'go run ./bench -postgres "$$GATEHOUSE_TEST_POSTGRES" -s3 "$$GATEHOUSE_TEST_S3"'

# How speed, memory and disk change with what is stored: about 15 minutes and 12 GB of
# disk each. docs/operations.md shows the results.
SCALE ?= 1
bench-scale:
	go run ./bench -scale $(SCALE) -plot docs/scale.svg

# PostgreSQL gets the memory that a server with this much data should give it.
bench-scale-stores:
	POSTGRES_BUFFERS=2GB scripts/with-stores sh -c 'go run ./bench -scale $(SCALE) -plot docs/scale-postgres.svg -postgres "$$GATEHOUSE_TEST_POSTGRES" -s3 "$$GATEHOUSE_TEST_S3"'

# Each fuzz target for FUZZTIME; go test fuzzes one target at a time.
FUZZTIME ?= 20s
fuzz:
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | cut -d' ' -f2); do \
			echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

generate:
	go generate ./...
