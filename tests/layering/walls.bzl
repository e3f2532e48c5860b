"""One wall of the design: a target and the folders that it may reach."""

def wall(name, target, may_reach, must_reach):
    """Tests what `target` depends on, at any distance.

    Args:
      name: of the test.
      target: the topmost target of a layer, so that everything in the layer that matters is below it.
      may_reach: packages of ours, with a trailing "/..." for all below. Everything else is a breach.
      must_reach: targets that it is known to depend on. They show that the question was asked rightly.
    """
    native.genquery(
        name = name + "_deps",
        testonly = True,
        expression = "kind(rule, deps(%s))" % target,
        # Without the compiler and other tools that every target depends on.
        opts = ["--noimplicit_deps"],
        scope = [target],
    )
    native.sh_test(
        name = name,
        size = "small",
        srcs = ["wall_test.sh"],
        args = [
            "$(location :%s_deps)" % name,
            target,
            "'%s'" % " ".join(may_reach),
            "'%s'" % " ".join(must_reach),
        ],
        data = [":%s_deps" % name],
    )
