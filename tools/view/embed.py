"""Writes a C++ source with the contents of files: embed.py HEADER NAMESPACE [CONSTANT FILE...]...

A constant is a name that begins with "k"; the files behind it are put one after the other.
"""

import sys


def literals(text):
    """C++ string literals, one a line of the text: compilers limit the length of one, not of their sum."""
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("?", "\\?")
        yield '    "%s"' % escaped


def main():
    header, namespace, *rest = sys.argv[1:]
    constants = []
    for argument in rest:
        if argument.startswith("k") and "/" not in argument:
            constants.append((argument, []))
        else:
            constants[-1][1].append(argument)
    print('#include "%s"\n\nnamespace %s {\n' % (header, namespace))
    for name, paths in constants:
        text = ""
        for path in paths:
            with open(path, encoding="utf-8") as file:
                text += file.read()
        print("const std::string_view %s =\n%s;\n" % (name, "\n".join(literals(text))))
    print("}  // namespace %s" % namespace)


main()
