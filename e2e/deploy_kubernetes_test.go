package e2e

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// manifests are the objects of the overlay, by kind. There is one of each kind.
type manifests map[string]runtime.Object

// renderKubernetes renders the overlay. An object with a field that Kubernetes does not
// know fails the test.
func renderKubernetes(t *testing.T) manifests {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(module, ".tools/bin/kustomize"), "build", filepath.Join(module, "deploy/kubernetes/example")).Output()
	if err != nil {
		t.Fatal(err)
	}
	objects := manifests{
		"Namespace": new(corev1.Namespace), "ServiceAccount": new(corev1.ServiceAccount), "ConfigMap": new(corev1.ConfigMap), "Secret": new(corev1.Secret),
		"Service": new(corev1.Service), "Deployment": new(appsv1.Deployment), "PodDisruptionBudget": new(policyv1.PodDisruptionBudget),
		"NetworkPolicy": new(networkingv1.NetworkPolicy), "Ingress": new(networkingv1.Ingress),
	}
	seen := map[string]bool{}
	for _, document := range bytes.Split(out, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		object := objects[kind.Kind]
		if object == nil || seen[kind.Kind] {
			t.Fatalf("an unexpected %s", kind.Kind)
		}
		seen[kind.Kind] = true
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	if len(seen) != len(objects) {
		t.Fatalf("of %d kinds only %v are there", len(objects), seen)
	}
	return objects
}

func get[T runtime.Object](m manifests) (object T) {
	for _, o := range m {
		if typed, ok := o.(T); ok {
			return typed
		}
	}
	panic("no such kind")
}

// TestKubernetes_Rendered checks that the rendered objects fit together: selectors,
// ports, and the names of what is mounted.
func TestKubernetes_Rendered(t *testing.T) {
	m := renderKubernetes(t)
	deployment, service := get[*appsv1.Deployment](m), get[*corev1.Service](m)
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]
	selects := func(what string, selector map[string]string) {
		t.Helper()
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %v, and the pods have %v", what, selector, pod.Labels)
		}
	}
	selects("the deployment", deployment.Spec.Selector.MatchLabels)
	selects("the service", service.Spec.Selector)
	selects("the disruption budget", get[*policyv1.PodDisruptionBudget](m).Spec.Selector.MatchLabels)
	selects("the network policy", get[*networkingv1.NetworkPolicy](m).Spec.PodSelector.MatchLabels)
	for _, c := range pod.Spec.TopologySpreadConstraints {
		selects("the topology constraint", c.LabelSelector.MatchLabels)
	}
	port := container.Ports[0]
	if service.Spec.Ports[0].TargetPort.StrVal != port.Name {
		t.Errorf("the service has the port %v, and the container %s", service.Spec.Ports[0].TargetPort, port.Name)
	}
	backend := get[*networkingv1.Ingress](m).Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != service.Name || backend.Port.Name != service.Spec.Ports[0].Name {
		t.Errorf("the ingress names the service %+v", backend)
	}
	if got, want := container.EnvFrom[0].SecretRef.Name, get[*corev1.Secret](m).Name; got != want {
		t.Errorf("the secret is %s, and the container reads %s", want, got)
	}
	if pod.Spec.ServiceAccountName != get[*corev1.ServiceAccount](m).Name {
		t.Errorf("there is no service account %s", pod.Spec.ServiceAccountName)
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = v
	}
	for _, mount := range container.VolumeMounts {
		v, ok := volumes[mount.Name]
		if !ok || v.ConfigMap != nil && v.ConfigMap.Name != get[*corev1.ConfigMap](m).Name {
			t.Errorf("the volume of %s is not there", mount.MountPath)
		}
	}
	for name, probe := range map[string]*corev1.Probe{"/healthz": container.StartupProbe, "/healthz ": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
		if probe.HTTPGet.Path != strings.TrimSpace(name) || probe.HTTPGet.Port.StrVal != port.Name {
			t.Errorf("a probe asks %+v", probe.HTTPGet)
		}
	}
}

// TestKubernetes_FitsTheServer checks the manifests against the server that they start.
func TestKubernetes_FitsTheServer(t *testing.T) {
	m := renderKubernetes(t)
	deployment := get[*appsv1.Deployment](m)
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]

	file := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(get[*corev1.ConfigMap](m).Data["gatehouse.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATEHOUSE_KEYRING_KEY", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=") // of the secret
	checkConfig(t, file)
	checkConfig(t, filepath.Join(module, "deploy/kubernetes/base/gatehouse.yaml"))
	c := config.Default()
	if err := c.Read(file); err != nil {
		t.Fatal(err)
	}
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < c.DrainTimeout+10*time.Second {
		t.Errorf("the pod is killed after %v, and draining takes %v", grace, c.DrainTimeout)
	}
	ready := container.ReadinessProbe
	if noticed := time.Duration(ready.PeriodSeconds*ready.FailureThreshold) * time.Second; c.DrainDelay < noticed+2*time.Second {
		t.Errorf("a pod that stops is noticed after %v, and it serves for %v", noticed, c.DrainDelay)
	}
	if c.DrainTimeout <= c.DrainDelay {
		t.Errorf("requests have no time to end: drain_timeout %v, drain_delay %v", c.DrainTimeout, c.DrainDelay)
	}
	if available := get[*policyv1.PodDisruptionBudget](m).Spec.MaxUnavailable; *deployment.Spec.Replicas < 2 || available.IntVal >= *deployment.Spec.Replicas {
		t.Errorf("of %d pods %v may be unavailable", *deployment.Spec.Replicas, available)
	}
	for _, e := range container.Env {
		if e.Name != "GOMEMLIMIT" {
			continue
		}
		mebibytes, err := strconv.ParseInt(strings.TrimSuffix(e.Value, "MiB"), 10, 64)
		if limit := container.Resources.Limits.Memory().Value(); err != nil || mebibytes<<20 > limit*9/10 {
			t.Errorf("GOMEMLIMIT is %s, and the limit %d", e.Value, limit)
		}
	}
	// The restricted profile of the pod security standards.
	s, p := container.SecurityContext, pod.SecurityContext
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" ||
		!*p.RunAsNonRoot || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken {
		t.Errorf("the pod has more privileges than it needs: %+v, %+v", s, p)
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if _, ok := container.Resources.Requests[name]; !ok {
			t.Errorf("there is no request of %s", name)
		}
	}
}

// checkConfig runs gatehouse config check with the secret that the servers have.
func checkConfig(t *testing.T, file string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binary, "gatehouse"), "config", "check", file)
	cmd.Env = append(os.Environ(), "GATEHOUSE_KEYRING_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
