"""The language policy as data: every name, attribute, special method and module a program may use. All else is refused.

Reading order: builtins, attributes, special names, modules. The checks are in `translate`, the run-time half in
`guards`; nothing here executes. `policy_digest` names the policy, and is stored with every execution.
"""

import functools
import hashlib
from types import MappingProxyType

from sandbox.verdict import Limits

TRANSLATOR_VERSION = 28  # raise it when the same source would translate, count steps, end or be judged differently


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Builtins that are safe as they are. Not here: compile, __import__, breakpoint, help, memoryview's friends in `guards`.
BUILTINS = _words("""
    abs aiter all anext any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate filter float format frozenset hash hex id int isinstance issubclass iter len list map max memoryview min
    next object oct ord pow property range repr reversed round set slice sorted staticmethod str sum super tuple zip
    False True None NotImplemented Ellipsis __debug__
    ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError BytesWarning
    ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError
    DeprecationWarning EOFError EncodingWarning EnvironmentError Exception ExceptionGroup FileExistsError
    FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning IndentationError
    IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError
    ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError
    PendingDeprecationWarning PermissionError ProcessLookupError PythonFinalizationError RecursionError ReferenceError
    ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration StopIteration SyntaxError SyntaxWarning SystemError
    SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError UnicodeError
    UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning ZeroDivisionError
""")

# Attributes that lead from a value to the interpreter's insides: frames, code, tracebacks, generators' frames.
FORBIDDEN_ATTRIBUTES = frozenset(
    _words("""
    ag_await ag_code ag_frame ag_running ag_suspended
    co_argcount co_branches co_cellvars co_code co_code_adaptive co_consts co_exceptiontable co_filename co_firstlineno
    co_flags co_freevars co_kwonlyargcount co_lines co_linetable co_lnotab co_name co_names co_nlocals
    co_posonlyargcount co_positions co_qualname co_stacksize co_varnames
    cr_await cr_code cr_frame cr_origin cr_running cr_suspended
    f_back f_builtins f_code f_generator f_globals f_lasti f_lineno f_locals f_trace f_trace_lines f_trace_opcodes
    gi_code gi_frame gi_running gi_suspended gi_yieldfrom
    tb_frame tb_lasti tb_lineno tb_next with_traceback
""")
)

# Read through a guard that looks at what comes out. `format` and `format_map` read attributes by the format string;
# `obj` is what an AttributeError holds; `now` and its like ask the real clock where they are a date's; `groupindex` and
# `__members__` are views of dictionaries that a pattern and an Enum live by.
CLOCKS = frozenset({"now", "today", "utcnow"})
GUARDED_ATTRIBUTES = CLOCKS | {"format", "format_map", "groupindex", "obj"}
GUARDED_DUNDERS = frozenset(
    {
        "__class__",
        "__dict__",
        "__annotations__",
        "__members__",
        "__setattr__",
        "__delattr__",
        "__getattribute__",
    }
)

# The methods by which a class takes part in Python's syntax: may be defined, read and called.
OPERATOR_METHODS = frozenset(
    _words("""
    __abs__ __add__ __aenter__ __aexit__ __aiter__ __and__ __anext__ __await__ __bool__ __bytes__ __call__ __ceil__
    __class_getitem__ __complex__ __contains__ __copy__ __deepcopy__ __delitem__ __dir__ __divmod__ __enter__ __eq__
    __exit__ __float__ __floor__ __floordiv__ __format__ __ge__ __getitem__ __gt__ __hash__ __iadd__ __iand__
    __ifloordiv__ __ilshift__ __imatmul__ __imod__ __imul__ __index__ __init__ __int__ __invert__ __ior__ __ipow__
    __irshift__ __isub__ __iter__ __itruediv__ __ixor__ __le__ __len__ __length_hint__ __lshift__ __lt__ __matmul__
    __missing__ __mod__ __mul__ __ne__ __neg__ __new__ __next__ __or__ __pos__ __post_init__ __pow__ __radd__ __rand__
    __rdivmod__ __repr__ __reversed__ __rfloordiv__ __rlshift__ __rmatmul__ __rmod__ __rmul__ __ror__ __round__
    __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __setitem__ __sizeof__ __str__ __sub__ __truediv__
    __trunc__ __xor__
""")
)

# May be defined in a class body besides. Never: __del__ (runs when nobody looks), __reduce__ and friends (copy obeys
# them), __getattribute__, __instancecheck__, __subclasscheck__, __prepare__, __mro_entries__, __annotations__ (a
# dataclass writes source from it), __module__ (a dataclass takes its globals by it).
DEFINABLE = OPERATOR_METHODS | frozenset(
    _words("""
    __delattr__ __delete__ __doc__ __get__ __getattr__ __init_subclass__ __match_args__ __set__ __set_name__
    __setattr__ __slots__
""")
)

READABLE_DUNDERS = OPERATOR_METHODS | frozenset(
    _words("""
    __base__ __bases__ __cause__ __context__ __doc__ __getattr__ __init_subclass__ __match_args__ __module__
    __mro__ __name__ __notes__ __qualname__ __slots__ __suppress_context__ __wrapped__
""")
)
WRITABLE_DUNDERS = (OPERATOR_METHODS - {"__new__"}) | {"__doc__", "__name__", "__qualname__", "__cause__", "__notes__"}

# Module-level variables with such names are notes that authors leave; nothing in Python reads them.
READABLE_NAMES = frozenset(
    _words("""
    __name__ __doc__ __file__ __class__ __debug__ __import__
    __all__ __author__ __copyright__ __credits__ __date__ __email__ __license__ __maintainer__ __status__ __version__
""")
)
STORABLE_NAMES = frozenset(
    _words("""
    __all__ __author__ __copyright__ __credits__ __date__ __email__ __license__ __maintainer__ __status__ __version__
    __doc__
""")
)

# What the compiler and the machinery themselves leave in a class's namespace.
CLASS_MACHINERY = frozenset(
    _words("""
    __abstractmethods__ __annotate__ __annotate_func__ __annotations__ __annotations_cache__ __classcell__
    __classdict__ __classdictcell__ __conditional_annotations__ __dataclass_fields__ __dataclass_params__ __dict__
    __firstlineno__ __module__ __non_callable_proto_members__ __optional_keys__ __orig_bases__ __parameters__
    __protocol_attrs__ __qualname__ __readonly_keys__ __mutable_keys__ __required_keys__ __static_attributes__
    __subclasshook__ __total__ __type_params__ __weakref__ __callable_proto_members_only__ __extra_items__ __closed__
    __new_member__
""")
)

# By these a program may change objects of the library.
CHANGING_ATTRIBUTES = frozenset(
    _words("attrgetter delattr eval exec getattr methodcaller register setattr unicode_whitespace_trans vars")
)

# Underscored names of the standard library that are documented interfaces.
PUBLIC_UNDERSCORED = frozenset(
    _words("""
    _asdict _field_defaults _fields _generate_next_value_ _ignore_ _make _missing_ _name_ _order_ _replace _value_
""")
)

# The standard library's modules a program may import, and the names it finds there. A name of the real module that is
# not listed is refused when asked for. Several are stand-ins of ours (see `modules.STAND_INS`).
MODULES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "abc": _words("ABC ABCMeta abstractclassmethod abstractmethod abstractproperty abstractstaticmethod"),
        "array": _words("array typecodes ArrayType"),
        "asyncio": _words(
            "run sleep gather create_task ensure_future wait_for wait as_completed iscoroutine iscoroutinefunction "
            "ALL_COMPLETED AbstractEventLoop BoundedSemaphore CancelledError Event FIRST_COMPLETED FIRST_EXCEPTION "
            "Future Handle InvalidStateError LifoQueue Lock PriorityQueue Queue QueueEmpty QueueFull Semaphore Task "
            "TaskGroup TimeoutError TimerHandle all_tasks current_task get_event_loop get_running_loop isfuture "
            "new_event_loop set_event_loop timeout timeout_at"
        ),
        "atexit": _words("register unregister"),
        "base64": _words(
            "b16decode b16encode b32decode b32encode b64decode b64encode b85decode b85encode "
            "standard_b64decode standard_b64encode urlsafe_b64decode urlsafe_b64encode"
        ),
        "binascii": _words("Error a2b_base64 a2b_hex b2a_base64 b2a_hex crc32 hexlify unhexlify"),
        "bisect": _words("bisect bisect_left bisect_right insort insort_left insort_right"),
        "builtins": (),
        "calendar": _words(
            "Calendar FRIDAY IllegalMonthError IllegalWeekdayError MONDAY SATURDAY SUNDAY THURSDAY TUESDAY "
            "WEDNESDAY calendar day_abbr day_name isleap leapdays month month_abbr month_name "
            "monthcalendar monthrange timegm weekday weekheader"
        ),
        "cmath": _words(
            "acos acosh asin asinh atan atanh cos cosh e exp inf infj isclose isfinite isinf isnan log log10 "
            "nan nanj phase pi polar rect sin sinh sqrt tan tanh tau"
        ),
        "collections": _words("ChainMap Counter OrderedDict UserDict UserList abc defaultdict deque namedtuple"),
        "collections.abc": _words(
            "AsyncGenerator AsyncIterable AsyncIterator Awaitable Callable Collection Container "
            "Coroutine Generator Hashable ItemsView Iterable Iterator KeysView Mapping MappingView "
            "MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView"
        ),
        "contextlib": _words(
            "AbstractAsyncContextManager AbstractContextManager AsyncExitStack ContextDecorator "
            "ExitStack aclosing asynccontextmanager closing contextmanager nullcontext redirect_stdout "
            "suppress"
        ),
        "copy": _words("Error copy deepcopy error"),
        "dataclasses": _words(
            "FrozenInstanceError InitVar KW_ONLY MISSING asdict astuple dataclass field fields is_dataclass replace"
        ),
        "datetime": _words("MAXYEAR MINYEAR UTC date datetime time timedelta timezone tzinfo"),
        "decimal": _words(
            "Clamped Context ConversionSyntax Decimal DecimalException DecimalTuple "
            "DivisionByZero DivisionImpossible DivisionUndefined FloatOperation Inexact "
            "InvalidContext InvalidOperation MAX_EMAX MAX_PREC MIN_EMIN MIN_ETINY Overflow ROUND_05UP "
            "ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP "
            "Rounded Subnormal Underflow getcontext localcontext setcontext"
        ),
        "difflib": _words("SequenceMatcher get_close_matches ndiff unified_diff"),
        "enum": _words("Enum Flag IntEnum IntFlag StrEnum auto unique"),
        "fileinput": _words("input"),
        "fractions": _words("Fraction gcd"),
        "functools": _words(
            "cache cached_property cmp_to_key lru_cache partial partialmethod reduce singledispatch "
            "total_ordering update_wrapper wraps"
        ),
        "gc": _words("collect disable enable freeze get_threshold isenabled set_threshold"),
        "graphlib": _words("CycleError TopologicalSorter"),
        "hashlib": _words("blake2b blake2s md5 sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512"),
        "heapq": _words("heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest"),
        "io": _words(  # no RawIOBase: its read() believes what readinto() says, and hands out the memory behind
            "BufferedIOBase BytesIO DEFAULT_BUFFER_SIZE IOBase SEEK_CUR SEEK_END SEEK_SET StringIO "
            "TextIOBase TextIOWrapper UnsupportedOperation open"
        ),
        "itertools": _words(
            "accumulate batched chain combinations combinations_with_replacement compress count cycle "
            "dropwhile filterfalse groupby islice pairwise permutations product repeat starmap takewhile "
            "tee zip_longest"
        ),
        "json": _words("JSONDecodeError JSONDecoder JSONEncoder dump dumps load loads"),
        "keyword": _words("iskeyword issoftkeyword kwlist softkwlist"),
        "math": _words(
            "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc "
            "exp exp2 expm1 fabs factorial floor fma fmod frexp fsum gamma gcd hypot inf isclose isfinite "
            "isinf isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod "
            "radians remainder sin sinh sqrt sumprod tan tanh tau trunc ulp"
        ),
        "numbers": _words("Complex Integral Number Rational Real"),
        "operator": _words(
            "abs add and_ attrgetter concat contains countOf delitem eq floordiv ge getitem gt iadd iand "
            "iconcat ifloordiv ilshift imatmul imod imul index indexOf inv invert ior ipow irshift is_ "
            "is_not isub itemgetter itruediv ixor le length_hint lshift lt matmul methodcaller mod mul ne "
            "neg not_ or_ pos pow rshift setitem sub truediv truth xor call"
        ),
        "os": _words("read write fstat linesep sep getenv environ path name getcwd devnull _exit"),
        "os.path": _words("basename commonprefix dirname isabs join normpath sep split splitext"),
        "pprint": _words("pprint pformat pp"),
        "queue": _words("Empty Full LifoQueue PriorityQueue Queue SimpleQueue"),
        "random": _words(
            "Random betavariate choice choices expovariate gammavariate gauss getrandbits getstate "
            "lognormvariate normalvariate paretovariate randbytes randint random randrange sample seed "
            "setstate shuffle triangular uniform vonmisesvariate weibullvariate"
        ),
        "re": _words(
            "A ASCII DOTALL I IGNORECASE M MULTILINE Match NOFLAG Pattern RegexFlag S U UNICODE VERBOSE X compile "
            "error escape findall finditer fullmatch match purge search split sub subn"
        ),
        "resource": _words("RLIMIT_AS RLIMIT_CPU RLIMIT_DATA RLIMIT_STACK RLIM_INFINITY error getrlimit setrlimit"),
        "statistics": _words(
            "NormalDist StatisticsError correlation covariance fmean geometric_mean harmonic_mean "
            "linear_regression mean median median_grouped median_high median_low mode multimode pstdev "
            "pvariance quantiles stdev variance"
        ),
        "string": _words(
            "Template ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits "
            "printable punctuation whitespace"
        ),
        "struct": _words("Struct calcsize error iter_unpack pack pack_into unpack unpack_from"),
        "sys": _words(
            "argv byteorder exc_info exit float_info get_int_max_str_digits getrecursionlimit getsizeof "
            "hash_info int_info intern maxsize maxunicode platform set_int_max_str_digits setrecursionlimit "
            "stderr stdin stdout version version_info"
        ),
        "textwrap": _words("TextWrapper dedent fill indent shorten wrap"),
        "threading": _words(
            "Thread Lock RLock stack_size setrecursionlimit current_thread main_thread Semaphore local"
        ),
        "time": _words(
            "monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns sleep time "
            "time_ns gmtime localtime strftime strptime mktime struct_time ctime asctime timezone"
        ),
        "traceback": _words("format_exc print_exc"),
        "types": _words(
            "AsyncGeneratorType BuiltinFunctionType BuiltinMethodType CoroutineType EllipsisType FunctionType "
            "GeneratorType GenericAlias LambdaType MappingProxyType MethodType ModuleType NoneType "
            "NotImplementedType SimpleNamespace UnionType"
        ),
        "typing": _words(
            "AbstractSet Annotated Any AnyStr AsyncGenerator AsyncIterable AsyncIterator Awaitable BinaryIO "
            "ByteString Callable ChainMap ClassVar Collection Concatenate Container ContextManager Coroutine "
            "Counter DefaultDict Deque Dict Final FrozenSet Generator Generic Hashable IO ItemsView Iterable "
            "Iterator KeysView List Literal LiteralString Mapping MappingView Match MutableMapping "
            "MutableSequence MutableSet NamedTuple Never NewType NoReturn NotRequired Optional OrderedDict "
            "ParamSpec Pattern Protocol Required Reversible Self Sequence Set Sized SupportsAbs "
            "SupportsBytes SupportsComplex SupportsFloat SupportsIndex SupportsInt SupportsRound "
            "TYPE_CHECKING Text TextIO Tuple Type TypeAlias TypeGuard TypeVar TypeVarTuple TypedDict Union "
            "Unpack ValuesView assert_never assert_type cast final get_args get_origin get_type_hints "
            "overload override reveal_type runtime_checkable"
        ),
        "typing_extensions": _words(
            "Annotated Final Literal NamedTuple NotRequired Protocol Required Self TypeAlias "
            "TypedDict override runtime_checkable"
        ),
        "unicodedata": _words(
            "bidirectional category combining decimal decomposition digit east_asian_width "
            "is_normalized lookup mirrored name normalize numeric unidata_version"
        ),
        "warnings": _words("filterwarnings simplefilter warn"),
        "zlib": _words("adler32 compress crc32 decompress error"),
    }
)

# In fast mode those programs share a process that are made of functions and plain classes, and use these modules, as
# nearly all do. The rest get a process of their own: generators and coroutines, special methods, class decorators, and
# whatever makes classes in other ways, sets what holds for a whole process, or reaches attributes by strings, are the
# ways in which readers of the source had a program do something when it was over.
SHARED = frozenset(
    _words("""
    __future__ bisect cmath collections copy datetime fractions functools heapq itertools json math operator random re
    statistics string sys time typing
""")
)
SHARED_BASES = frozenset(_words("object ArithmeticError Exception KeyError RuntimeError TypeError ValueError"))
SHARED_SPECIAL = frozenset(_words("__doc__ __init__ __lt__ __repr__ __slots__ __str__"))
SHARED_WITHOUT_NAMES = CHANGING_ATTRIBUTES.union(
    _words("__import__ aiter anext globals locals memoryview property type")
)
SHARED_WITHOUT_ATTRIBUTES = CHANGING_ATTRIBUTES.union(
    _words("""
    ChainMap UserDict UserList namedtuple tzinfo
    cached_property partialmethod singledispatch total_ordering update_wrapper wraps
    JSONDecoder JSONEncoder NormalDist Random Template purge
    exc_info intern set_int_max_str_digits setrecursionlimit
    Generic NamedTuple NewType ParamSpec Protocol SupportsAbs SupportsBytes SupportsComplex SupportsFloat
    SupportsIndex SupportsInt SupportsRound TypeVar TypeVarTuple TypedDict final get_type_hints overload
    override runtime_checkable
""")
)

# Of these a program gets a module of ours, with nothing of the real one in it but harmless constants and types.
STAND_INS = frozenset(
    _words("""
    asyncio atexit builtins fileinput gc keyword os os.path queue random resource sys threading time
    traceback typing_extensions warnings
""")
)

# May be imported, with what is in them, and then used for nothing: any name is refused when asked for. People import
# these by habit. The standard library's other modules, which serve to look into or out of a process, are refused when
# imported.
IMPORT_ONLY = (
    frozenset(
        _words("""
    aifc argparse asynchat asyncore bz2 cProfile cgi chunk cmd codecs colorsys concurrent configparser contextvars
    crypt csv curses datetime dbm doctest email encodings errno filecmp fnmatch ftplib getopt getpass gettext glob
    gzip hmac html http idlelib imaplib imghdr inspect ipaddress lib2to3 linecache locale logging lzma mailbox
    mimetypes modulefinder netrc nntplib optparse pathlib pickle pickletools pipes platform plistlib poplib profile
    pstats quopri reprlib sched secrets select selectors shelve shlex shutil signal smtplib sndhdr socket socketserver
    sqlite3 ssl stat statvfs stringprep sunau sysconfig syslog tarfile telnetlib tempfile test this timeit tkinter
    token tokenize tomllib trace tracemalloc turtle turtledemo unittest urllib uu uuid venv wave weakref webbrowser
    winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zoneinfo
""")
    )
    - MODULES.keys()
)

# Packages people install: importing one is a refusal and no evidence, since it may exist elsewhere or not. (Were they
# inert like the above, 18 of the 16,400 samples with verdicts would pass that failed for want of the package.) Where a
# program provides for its absence (`try: import numpy` with `except ImportError`) it is absent. Any other unknown name
# is what CPython makes of it, a ModuleNotFoundError.
KNOWN_PACKAGES = frozenset(
    _words("""
    IPython OpenSSL PIL PyQt5 PyQt6 aiohttp bokeh boto3 bs4 celery chainer click colorama cryptography cupy cv2 cython
    dask deap discord django docker dotenv fastapi faker flask fuzzywuzzy gensim gmpy2 google grpc gym gymnasium h5py
    httpx huggingface_hub imageio jax jinja2 joblib kafka keras lightgbm llvmlite lxml markdown matplotlib mock
    more_itertools mpl_toolkits mpmath nltk networkx numba numexpr numpy openai openpyxl pandas peft pexpect pip
    pkg_resources plotly polars psutil psycopg2 pyarrow pydantic pygame pymongo pymysql pyspark pytest pytz yaml
    rapidfuzz redis regex
    requests rest_framework rich scipy seaborn selenium sentencepiece setuptools shapely six skimage sklearn
    sortedcontainers spacy sqlalchemy statsmodels streamlit sympy tabulate tensorflow tensorflow_probability termcolor
    tokenizers toolz torch torchtext torchvision tornado tqdm transformers trl twisted ujson urllib3 vllm wandb
    werkzeug wordcloud xgboost xlrd zmq
""")
)


@functools.cache
def policy_digest() -> str:
    """The sha256 that names this policy: its lists, the translator's version and the default limits."""
    parts: list[object] = [TRANSLATOR_VERSION, repr(Limits())]
    for name, value in sorted(globals().items()):
        if name.isupper():
            parts.append((name, _plain(value)))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _plain(value: object) -> object:
    """The same data in one fixed order."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, MappingProxyType):
        return sorted(value.items())
    return value
