"""Repository rules that let Debian's Bazel 4.2.3 build without the network."""

_RULES_CC = "/usr/share/bazel/rules/cc"

# Debian's rules_cc 0.0.4 is newer than its Bazel: these two files load a symbol that Bazel 4.2.3 does not have.
_LOADS_USE_CPP_TOOLCHAIN = [
    "cc/private/rules_impl/cc_flags_supplier.bzl",
    "cc/private/rules_impl/compiler_flag.bzl",
]

def _replace_once(text, old, new, where):
    if text.count(old) != 1:
        fail("%s: expected exactly one %r; is this another version of bazel-rules-cc than 0.0.4?" % (where, old))
    return text.replace(old, new)

def _patched_rules_cc_impl(repository_ctx):
    root = repository_ctx.path(_RULES_CC)
    if not root.exists:
        fail("%s is missing: run ./bazelw once, it installs bazel-rules-cc" % _RULES_CC)
    for entry in root.readdir():
        if entry.basename != "cc":
            repository_ctx.symlink(entry, entry.basename)

    # A copy, because a symlinked folder cannot have single files replaced.
    copied = repository_ctx.execute(["cp", "-R", _RULES_CC + "/cc", "cc"])
    if copied.return_code != 0:
        fail("cannot copy rules_cc: " + copied.stderr)
    for path in _LOADS_USE_CPP_TOOLCHAIN:
        text = repository_ctx.read(path)
        text = _replace_once(text, ", \"use_cpp_toolchain\"", "", path)
        text = _replace_once(text, "use_cpp_toolchain()", "[\"@bazel_tools//tools/cpp:toolchain_type\"]", path)
        repository_ctx.file(path, text, executable = False)

patched_rules_cc = repository_rule(
    implementation = _patched_rules_cc_impl,
    doc = "Debian's rules_cc without the one symbol that Bazel 4.2.3 lacks.",
    local = True,
)

def _stub_coverage_tools_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", """
package(default_visibility = ["//visibility:public"])

filegroup(name = "coverage_report_generator")

filegroup(name = "lcov_merger")
""")

stub_coverage_tools = repository_rule(
    implementation = _stub_coverage_tools_impl,
    doc = "Every test depends on these two labels; we do not use `bazel coverage`, so they may be empty.",
)
