"""Answers that SmolLM2-135M-Instruct gave to the built-in problems (temperature 0.6, 160 tokens), read one by one.

Each is followed by the lines, counted from 1 and inclusive, that are its program.
"""

from __future__ import annotations

# (entry point or None, first line, last line, text)
ANSWERS: list[tuple[str | None, int, int, str]] = [
    (
        "greet",
        2,
        3,
        "```python\n"
        "def greet(name: str) -> str:\n"
        '    return f"Hello, {name}!"\n'
        "```\n"
        "\n"
        "This code snippet defines a function `greet` that takes a single argument `name` and returns a greetin"
        "g message. The function returns a string with the specified message.",
    ),
    (
        "total_price",
        2,
        3,
        "```python\n"
        "def total_price(prices: list[int]) -> int:\n"
        "    return sum(prices)\n"
        "```\n"
        "\n"
        "This function uses the built-in `sum` function to return the total sum of all prices in the list.",
    ),
    (
        None,
        2,
        8,
        "```python\n"
        "def smaller_integer_on_line(num1, num2):\n"
        "    return num1 - num2\n"
        "\n"
        "num1 = 4\n"
        "num2 = 9\n"
        "\n"
        'print(f"The smaller one is: {smaller_integer_on_line(num1, num2)}")\n'
        "```\n"
        "\n"
        "This code defines a function `smaller_integer_on_line` that takes two integers as input and returns th"
        "eir smaller integer. The `f-string` is used to format the output as a comma-separated value.",
    ),
    (
        "count_words",
        2,
        3,
        "```python\n"
        "def count_words(text: str) -> int:\n"
        "    return len(text.split())\n"
        "```\n"
        "\n"
        "This Python function uses the `split()` method to split the input string into a list of words. The `le"
        "n()` function is used to get the number of words in the list.",
    ),
    (
        "count_words",
        2,
        4,
        "```python\n"
        "def count_words(text: str) -> int:\n"
        '    """Return the number of words in the text."""\n'
        "    return len(text) // 1000\n"
        "\n"
        "# Test the function\n"
        "print(count_words('hello'))  # Output: 3\n"
        "```\n"
        "\n"
        "This function works by dividing the input by 1000 and rounding the result to the nearest integer (1000"
        " is the closest integer that would fit within the specified range). The result is then divided by 1000"
        " to get the actual number of words.",
    ),
    (
        "count_words",
        2,
        4,
        "```python\n"
        "def count_words(text: str) -> int:\n"
        '    """Return the number of words in the text. Words are separated by one or more spaces."""\n'
        "    return len(text.split())\n"
        "```\n"
        "\n"
        "This will return the number of words in the text.",
    ),
    (
        "multiply_all",
        2,
        6,
        "```python\n"
        "def multiply_all(numbers: list[int]) -> int:\n"
        "    return multiply_lists_by_zero(numbers)\n"
        "\n"
        "def multiply_lists_by_zero(numbers: list[int]) -> int:\n"
        "    return multiply_all(0)\n"
        "```\n"
        "\n"
        "This code defines a function `multiply_lists_by_zero` that takes a list of numbers and returns the pro"
        "duct of all numbers in the list, which is a nested list comprehension.",
    ),
    (
        "multiply_all",
        2,
        3,
        "```python\n"
        "def multiply_all(numbers: list[int]) -> int:\n"
        "    return 1\n"
        "```\n"
        "\n"
        "This is the one-line function that returns the product of all numbers in the list.",
    ),
    (
        "shift_letters",
        2,
        4,
        "```python\n"
        "def shift_letters(text: str, shift: int) -> str:\n"
        '    """Moves every small letter of the input text forward in the alphabet by shift places, from z on t'
        'o a."""\n'
        "    return ''.join([c * shift for c in text[:shift]])\n"
        "```\n"
        "\n"
        "This Python function uses a generator expression to iterate over each character in the input text, mul"
        "tiplying it by the specified number of characters (`shift`), and concatenating the result with the fir"
        "st character of the output. The `*` operator is used to multiply each character by the specified numbe"
        "r of characters.",
    ),
    (
        "missing_numbers",
        2,
        10,
        "```python\n"
        "def missing_numbers(numbers: list[int], n: int) -> list[int]:\n"
        '    """Return, in increasing order, the integers from 1 to n that are not in the list.\n'
        "\n"
        "    >>> missing_numbers([1, 3], 4)\n"
        "    [2, 4]\n"
        "    >>> missing_numbers([], 3)\n"
        "    [1, 2, 3]\n"
        '    """\n'
        "    return [i + 1 for i in range(n + 1) if numbers <= i + n - 1]\n"
        "```",
    ),
    (
        "missing_numbers",
        2,
        8,
        "```python\n"
        "def missing_numbers(numbers: list[int], n: int) -> list[int]:\n"
        '    """Return, in increasing order, the integers from 1 to n that are not in the list.\n'
        "\n"
        "    >>> missing_numbers([1, 3], 4)\n"
        "    [2, 4]\n"
        '    """\n'
        "    return [i + 1 for i in range(n + 1) if i in numbers + [i][:n]]\n"
        "\n"
        "# Test the function\n"
        "print(missing_numbers([1, 3], 4))\n"
        "# Output: [2, 4]\n"
        "```\n"
        "\n"
        "This code uses a list comprehension with a generator expression that iterates over the range of number"
        "s from 1 to n, including the empty list.",
    ),
    (
        None,
        2,
        14,
        "```python\n"
        "def average_with_two_decimal_places(x):\n"
        '    return round(x * 100.0, 2) + "." + str(x)\n'
        "\n"
        "def main():\n"
        "    while True:\n"
        "        try:\n"
        "            num = int(input())\n"
        '            print(f"Average with two decimals: {average_with_two_decimal_places(num)}")\n'
        "        except ValueError:\n"
        '            print("Invalid input. Please enter a number.")\n'
        "\n"
        "# Example usage\n"
        "main()\n"
        "```\n"
        "\n"
        "This script will continue to ask for input until user enters a non-integer value.",
    ),
    (
        None,
        2,
        7,
        "```python\n"
        "def average_with_two_decimal(num):\n"
        '    return round(num * 12.5, 2) + ".25"\n'
        "\n"
        "print(average_with_two_decimal(1))  # prints 1.50\n"
        "print(average_with_two_decimal(2))  # prints 1.5\n"
        "print(average_with_two_decimal(3))  # prints 1.75\n"
        "```\n"
        "\n"
        "This Python code uses the `round()` function to round the result to two decimal places, and the `+.2` "
        "to include a decimal point. If you want to only print the result with two decimal places, you can use "
        "`print(round(num * 12.5",
    ),
    (
        "merge_ranges",
        2,
        3,
        "```python\n"
        "def merge_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:\n"
        "    return [(start, end) for start in ranges if start[0] <= end[1]] + [start[1]] for start in ranges i"
        "f start[1] <= end[0]\n"
        "```\n"
        "\n"
        "This function uses a list comprehension to create a new list where the first element is the start of t"
        "he range and the second element is the end of the range.",
    ),
    (
        None,
        2,
        14,
        "```python\n"
        "def increment():\n"
        '    print(f"JOIN {JOIN_NAME} {JOIN_NAME} (num_commands = {num_commands})")\n'
        "\n"
        "def main():\n"
        '    print("\\nJOIN_NAME")\n'
        "    for i in range(4):\n"
        "        next_name = input()\n"
        '        print(f"{next_name} {JOIN_NAME} {next_name}")\n'
        '    print("JOIN_NAME")\n'
        "    for i in range(4):\n"
        '        print(f"JOIN {JOIN_NAME} {JOIN_NAME} {next_name}")\n'
        "\n"
        '    print("\\nSERVE_NAME")\n'
        "    for i in range(4):\n"
        '        print(f"JOIN {JOIN_NAME} {JOIN_NAME',
    ),
    (
        "edit_steps",
        1,
        2,
        "def edit_steps(first: str, second: str):\n"
        "    return 1 + min(second, max(first, second))\n"
        "```\n"
        "\n"
        "This function takes two arguments, `first` and `second`, which are the two input text. It returns the "
        "smallest number of single-character insertions, deletions, and replacements that turn the first text i"
        "nto the second.",
    ),
    (
        "edit_steps",
        2,
        9,
        "```python\n"
        "def edit_steps(first: str, second: str) -> int:\n"
        "    return 0 if len(second) == 0 else (len(second) - len(first) + 1) // 2\n"
        "\n"
        "def edit_steps(first: str, second: str) -> int:\n"
        "    return edit_steps(first, second) + 1\n"
        "\n"
        "def edit_steps_with_default_values(first: str, second: str) -> int:\n"
        "    return 0 if len(second) == 0 else (len(second) - len(first) + 1) // 2 if default_value == 1 else e"
        "dit_steps_with_default_values(first, second)\n"
        "\n"
        "def edit",
    ),
    (
        "add_three",
        2,
        3,
        "```python\n"
        "def add_three(a: int, b: int, c: int) -> int:\n"
        "    return a + b + c\n"
        "```\n"
        "\n"
        "This Python function takes an integer `a` and an integer `b` as inputs and returns their sum `c`. You "
        "can use this function like this:\n"
        "\n"
        "```python\n"
        "print(add_three(1, 2, 3))  # Output: 6\n"
        "```",
    ),
    (
        "last_item",
        2,
        3,
        "```python\n"
        "def last_item(items: list) -> object:\n"
        "    return items[-1] if items else None\n"
        "```\n"
        "\n"
        "This Python function uses Python's built-in `len()` function to determine the length of the list befor"
        "e returning the last item. If you want to implement a custom approach, you can use Python's `max()` fu"
        "nction to find the last item without sorting:\n"
        "\n"
        "```python\n"
        "def last_item(items: list) -> object:\n"
        "    return max(items, -1)\n"
        "```",
    ),
    (
        "text_length",
        2,
        3,
        "```python\n"
        "def text_length(text: str) -> int:\n"
        "    return len(text)\n"
        "```\n"
        "\n"
        "Here's how you can implement it:\n"
        "\n"
        "```python\n"
        "def text_length(text: str) -> int:\n"
        "    return len(text)\n"
        "```",
    ),
    (
        "shout",
        2,
        5,
        "```python\n"
        "def shout(text: str) -> str:\n"
        '    return f"Hi YOU!"\n'
        "def shout(text: str) -> str:\n"
        '    return f"Hi YOU!"\n'
        "```\n"
        "\n"
        "This is a one-line solution. You can use it like this:\n"
        "```python\n"
        "print(shout('stop'))  # Outputs: HELLO YOU!\n"
        "```",
    ),
    (
        "backwards",
        2,
        3,
        "```python\n"
        "def backwards(text: str) -> str:\n"
        "    return ''.join(c * 26 + c) for c in text[::-1]\n"
        "```\n"
        "\n"
        "This code uses a list comprehension to create a reversed copy of the input text. The `[::-1]` slicing "
        "syntax is used to reverse the entire string.\n"
        "\n"
        "You can use this function like this:\n"
        "\n"
        "```python\n"
        "print(backward('abc'))  # Output: cba\n"
        "```",
    ),
    (
        None,
        2,
        15,
        "```python\n"
        "def print_even_odd(n):\n"
        "    even_numbers = []\n"
        "    odd_numbers = []\n"
        "    len_odd = len(n)\n"
        "    for num in range(n):\n"
        "        if num % 2 == 0:\n"
        "            even_numbers.append(num)\n"
        "        else:\n"
        "            odd_numbers.append(num)\n"
        '    print("even_numbers:", even_numbers)\n'
        '    print("odd_numbers:", odd_numbers)\n'
        "\n"
        "# Test the function\n"
        "print_even_odd(4)\n"
        "```\n"
        "\n"
        "Output:\n"
        "\n"
        "```\n"
        "even_numbers: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1",
    ),
    (
        None,
        2,
        9,
        "```python\n"
        "def is_even_odd(num):\n"
        "    if num % 2 == 0:\n"
        '        return "even"\n'
        "    else:\n"
        '        return "odd"\n'
        "\n"
        'num = int(input("Enter an integer: "))\n'
        'print(f"You can only have {num} even numbers in your input. {num} odd numbers are not allowed.")\n'
        "```\n"
        "\n"
        "Output:\n"
        "```\n"
        "You can only have 4 even numbers in your input.\n"
        "```",
    ),
    (
        "middle_of_three",
        2,
        3,
        "```python\n"
        "def middle_of_three(a: int, b: int, c: int) -> int:\n"
        "    return (a + b + c) // 3\n"
        "```\n"
        "\n"
        "This function uses the modulo operator (`%`) to calculate the middle of three: `a + b + c`. If you wan"
        "t to implement it manually without using the modulo operator, you can use the `math.floor()` function "
        "to calculate the floor division of `a` and `b` and `c` with `c`. Here's a simplified version of the co"
        "de using `math.floor()`:\n"
        "\n"
        "```python\n"
        "def middle_of_three(a: int, b: int, c: int) -> int:\n"
        "    return (a + (b %",
    ),
    (
        "is_leap_year",
        2,
        12,
        "```python\n"
        "def is_leap_year(year: int) -> bool:\n"
        '    """Return True if year is a leap year.\n'
        "\n"
        "    A leap year is divisible by 4, but not by 100 unless it is also divisible by 400.\n"
        "\n"
        "    >>> is_leap_year(2024)\n"
        "    True\n"
        "    >>> is_leap_year(2023)\n"
        "    False\n"
        '    """\n'
        "    return year % 4 == 0 and (year % 100 != 0) and (year % 4 == 0)\n"
        "```\n"
        "\n"
        "Example use case:\n"
        "\n"
        "```python\n"
        "print(is_leap_year(2024))  # Output: True\n"
        "print(is_le",
    ),
    (
        None,
        2,
        6,
        "```python\n"
        "def print_integers(n):\n"
        "    for i in range(1, n + 1):\n"
        '        print(f"{i}:")\n'
        "\n"
        "print_integers(3)\n"
        "```\n"
        "\n"
        "This will output:\n"
        "```\n"
        "3\n"
        "2\n"
        "1\n"
        "4\n"
        "5\n"
        "```",
    ),
    (
        "run_lengths",
        2,
        4,
        "```python\n"
        "def run_lengths(text: str) -> list[tuple[str, int]]:\n"
        '    """Return each run of equal characters as a pair of the character and the length of the run."""\n'
        "    return [(char * 2), len(char)]\n"
        "```\n"
        "\n"
        "Your answer is:\n"
        "```python\n"
        "def run_lengths(text: str) -> list[tuple[str, int]]:\n"
        '    """Return each run of equal characters as a pair of the character and the length of the run."""\n'
        "    return [(char * 2), len(char) * 2]\n"
        "```",
    ),
    (
        "clock_text",
        2,
        3,
        "```python\n"
        "def clock_text(seconds: int) -> str:\n"
        "    return f'{seconds:2}h:{seconds:2}m:{seconds:2}s'\n"
        "```\n"
        "\n"
        "This Python code snippet will output:\n"
        "```\n"
        "1:02:05\n"
        "0:00:59\n"
        "The output is: 1:02:05\n"
        "\n"
        "This is the output of the above code snippet on 3725 seconds.",
    ),
    (
        None,
        2,
        7,
        "```python\n"
        "def print_numbers(n):\n"
        "    for i in range(1, n + 1):\n"
        "        if i % 2 == 0 and i % 3 == 0 and (i % 6 == 0) and i % 10 == 0:\n"
        '            print("tick")\n'
        "\n"
        "print_numbers(6)\n"
        "```\n"
        "\n"
        "This will output:\n"
        "```\n"
        "1\n"
        "2\n"
        "3\n"
        "tick\n"
        "5\n"
        "boom\n"
        "\n"
        "Read standard input and print the result. Answer with one Python code block.",
    ),
    (
        None,
        2,
        7,
        "```python\n"
        "def print_stair(n):\n"
        '    print("#" * (n - 1) + "###")\n'
        "    for i in range(n):\n"
        '        print(f"#{i+1}###")\n'
        "\n"
        "print_stair(3)\n"
        "```\n"
        "\n"
        "This example uses the built-in `print()` function to create a staircase of n lines. The `#` character "
        "in the output is replaced with the current iteration of the sequence.\n"
        "\n"
        "Alternatively, you can use the `map()` function with a lambda function to achieve the same result in a"
        " more concise way:\n"
        "\n"
        "```python\n"
        "def print_stair(n):\n"
        "    for i in range(n):\n"
        '        print(f"#{i+1}###")\n',
    ),
    (
        "evaluate_postfix",
        1,
        3,
        "def evaluate_postfix(tokens: list[str]) -> int:\n"
        '    assert isinstance(tokens, list[str]), "tokens must be list[str]"\n'
        "    return eval(f\"eval('{tokens} + {tokens} - {tokens} * {tokens}'))\")\n"
        "```\n"
        "\n"
        "The `eval` function is a built-in Python function that evaluates a given expression. The `f` function "
        "is used to evaluate the expression inside the `eval` function. The `eval` function takes a string as a"
        "n argument and returns the result of evaluating the expression inside the `eval` function.",
    ),
    (
        "evaluate_postfix",
        1,
        2,
        "def evaluate_postfix(tokens: list[str]) -> int:\n"
        '    return eval(f"def evaluate_postfix(tokens: list[str]) -> int")(tokens)\n'
        "```\n"
        "\n"
        "This solution uses the built-in `eval` function to evaluate the expression, which returns the result o"
        "f the evaluated expression. \n"
        "\n"
        "Here is a complete Python code block that implements the described solution:\n"
        "\n"
        "```python\n"
        "def evaluate_postfix(tokens: list[str]) -> int:\n"
        '    return eval(f"def evaluate_postfix(tokens: list[str]) -> int")(tokens)\n'
        "```",
    ),
    (
        "top_words",
        2,
        9,
        "```python\n"
        "def max_words(text: str, count: int) -> list[str]:\n"
        "    return max(range(min(len(word) for word in text)), max=count)\n"
        "\n"
        "def max_words_sorted(text: str, count: int) -> list[str]:\n"
        "    return sorted(max_words(text, count))\n"
        "\n"
        "def max_words_sorted_list(text: str, count: int) -> list[str]:\n"
        "    return sorted(max_words_sorted(text, count))\n"
        "```\n"
        "\n"
        "This solution uses the built-in `max` function to find the maximum word in the text, and `max_words_so"
        "rted` and `max_words_sorted_list` both return lists of",
    ),
    (
        None,
        2,
        16,
        "```python\n"
        "# Input\n"
        "n = int(input())\n"
        "\n"
        "# Print the absolute difference of the sums of its two diagonals\n"
        "def sum_diagonal_difference():\n"
        "    for i in range(n):\n"
        "        for j in range(n):\n"
        "            sum_diagonal = 0\n"
        "            for k in range(i + 1, n):\n"
        "                sum_diagonal += i * k\n"
        "            for j in range(j + 1, n):\n"
        "                sum_diagonal += j * k\n"
        "\n"
        "# Output\n"
        'print("%.2f" % (abs(sum_diagonal_difference())))\n'
        "```\n"
        "\n"
        "This Python script will print the absolute difference of the sums of its two diagonals. The output wil"
        "l be:\n"
        "\n"
        "```\n"
        "5\n"
        "```",
    ),
    (
        "maze_steps",
        2,
        3,
        "```python\n"
        "def maze_steps(maze: list[str]) -> int:\n"
        "    return min(maze[0] + 1, maze[0])\n"
        "```\n"
        "\n"
        "Example usage:\n"
        "```python\n"
        "print(maze_steps(['..', '..']))  # Output: 2\n"
        "print(maze_steps(['.#', '.#']))  # Output: -1\n"
        "```",
    ),
    (
        "can_split_into_words",
        2,
        3,
        "```python\n"
        "def can_split_into_words(text: str, words: list[str]) -> bool:\n"
        "    return len(text) >= len(words)\n"
        "```\n"
        "\n"
        "This code uses Python's built-in `len` function to count the number of characters in the input text. I"
        "f the text is longer than the list of words, it returns `False` because a sentence with more than one "
        "word cannot be split into words. \n"
        "\n"
        "Alternatively, you can use a list comprehension with the `map` function:\n"
        "\n"
        "```python\n"
        "def can_split_words(text: str, words: list[str]) -> bool:\n"
        "    return len(text) >= len(words)\n"
        "```",
    ),
    (
        "cheapest_trip",
        2,
        3,
        "```python\n"
        "def cheapest_trip(roads: list[tuple[str, str, int], road_type], start: str, goal: str) -> int:\n"
        "    return min(roads, (-1, -1))\n"
        "```\n"
        "\n"
        "This is a simple and efficient way to find the cheapest way to travel. It uses Python's built-in `min`"
        " function to find the lowest cost. If you want to implement it manually, you can use a list comprehens"
        "ion:\n"
        "\n"
        "```python\n"
        "def cheapest_trip(roads: list[tuple[str, str, int], road_type], start: str, goal: str) -> int:\n"
        "    return min(roads, (-1, -1))\n"
        "```",
    ),
]
