"""What people write into descriptions of a CT, in many languages: which part of the body, and which kind of series.

Texts are folded (accents away, case away, Latin, Greek and Cyrillic cut into words); a word with `*` is a beginning.
Words of scripts without blanks are looked for anywhere in the text.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# Letters that no normal form takes apart.
_WITHOUT_PARTS: Final = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "ı": "i", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe"}
)


def fold(text: str) -> str:
    """A text for comparing."""
    parts = unicodedata.normalize("NFKD", text.translate(_WITHOUT_PARTS))
    return "".join(one for one in parts if not unicodedata.combining(one)).casefold()


_WORDS: Final = re.compile(r"[^\W_]+")
_BLANKLESS: Final = re.compile(r"[\u0590-\u08ff\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words, ready for looking up."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]
    anywhere: tuple[str, ...]
    phrases: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Words":
        """From words parted by blanks; `_` binds the words of a phrase."""
        words = [fold(word) for word in text.split()]
        blankless = [word for word in words if _BLANKLESS.search(word)]
        plain = [word for word in words if word not in blankless]
        return cls(
            frozenset(word for word in plain if "*" not in word and "_" not in word),
            tuple(word[:-1] for word in plain if word.endswith("*")),
            tuple(blankless),
            tuple(f" {word.replace('_', ' ')} " for word in plain if "_" in word),
        )

    def found_in(self, text: str) -> bool:
        """Whether one of the words stands in the text."""
        return bool(text) and _look(self, text)


@lru_cache(maxsize=4096)
def _look(words: Words, text: str) -> bool:
    folded = fold(text)
    said = _WORDS.findall(folded)
    if words.whole.intersection(said) or any(word.startswith(words.beginnings) for word in said):
        return True
    line = f" {' '.join(said)} "
    return any(phrase in line for phrase in words.phrases) or any(one in folded for one in words.anywhere)


HEAD: Final = Words.of(
    """
    head brain* skull crani* intracran* neurocrani* cerebr* cerebell* stroke encephal* encefal* cct ncct
    kopf schadel* schaedel* gehirn* hirn* neurokran* tete crane* cranien* cabeza craneo* cabeca testa hoofd hersen*
    glowa glowy mozg* czaszk* glava glave mozak hlava hlavy mozek mozku lebka hode hodet huvud* hjarn* hjern* skalle*
    aivo* paan beyin beyni kafa kranial* kranium koponya* agyi craniu creier* kepala otak so_nao
    голов* мозг* мозк* череп* глава главе мозак κεφαλ* εγκεφαλ* κρανι*
    頭 脳 头 脑 腦 颅 顱 두부 뇌 머리 رأس راس دماغ مخ ראש מוח ศีรษะ สมอง
    """
)

# Other parts of the body, by the name that stands in the sentence. Within one text a word for the head comes first.
OTHER_PARTS: Final = {
    "neck": Words.of(
        """
        neck cervical* hals hws cspine csp cou cuello pescoco collo nek szyi szyja boyun krk larynx pharynx thyroid
        шея шеи шейн* 頸 颈 경부 목 رقبة צוואר
        """
    ),
    "spine": Words.of(
        """
        spine spinal* lspine tspine lumbar* lumbal* lombaire* wirbel* lws bws rachis columna coluna colonna vertebr*
        kregoslup* позвон* 脊 腰椎 척추
        """
    ),
    "face": Words.of(
        """
        sinus sinuses sinusit* nnh pns orbit* felsenbein* petros* temporal_bone mastoid* facial face maxill* mandib*
        dental kiefer* gesicht* nasal* tmj iac 副鼻腔 鼻窦 眼眶
        """
    ),
    "chest": Words.of(
        """
        chest thorax thorac* torax torace lung* pulmo* poumon* cardiac heart herz coronary coronarie* aorta aortic rib
        ribs sternum brust* klatka грудн* легк* легки* 胸 肺 흉부 가슴 صدر חזה
        """
    ),
    "abdomen": Words.of(
        """
        abdom* abd liver leber foie higado kidney* renal* niere* pancrea* pankrea* bauch* addome* buik brzuch* karin tap
        urogr* kub entero* colon colonogr* stomach spleen брюш* живот* 腹 肝 腎 肾 복부 بطن בטן
        """
    ),
    "pelvis": Words.of("pelvi* becken* bassin bacino bacia miednic* hip hips huft* hueft* таз* 骨盤 盆腔 골반 حوض אגן"),
    "limbs": Words.of(
        """
        knee* knie* genou* rodilla* foot feet ankle* hand hands wrist* elbow* shoulder* schulter* epaule* hombro* femur*
        femoral tibia* leg legs arm arms extremit* humer* calcane* forearm* thigh*
        """
    ),
}

LOCALIZER: Final = Words.of("topogram* scout* surview* topo scanogram* localizer* localiser* scano pilot 定位")

PERFUSION: Final = Words.of("perfusion* perfuzj* perf ctp cbf rcbf cbv rcbv mtt ttp tmax перфуз* 灌注 灌流")

# Of the series alone: the description of a study often names all that may follow.
CONTRAST: Final = Words.of(
    """
    angio* cta carotid* karotid* venogr* phlebogr* willis cow bolus monitoring premonitoring timing delayed
    postcontrast post_contrast with_contrast w_contrast contrast_enhanced ce iv_contrast mit_km nach_km mkm m_km
    avec_inj* avec_injection avec_iode con_contraste con_mdc com_contraste met_contrast z_kontrastem kontrastli
    arterial venous arteriell* venos* arteriel* veineu* enhanced injecte injectee
    контрастом 造影後 增强
    """
)
_CONTRAST_SIGNS: Final = re.compile(r"(?:^|[\s(/_])(?:\+\s?c|c\+|\+\s?km)(?:$|[\s)/_])", re.IGNORECASE)
WITHOUT: Final = Words.of(
    """
    wo w_o without non noncontrast native nativ plain unenhanced nonenhanced ohne okm o_km sans sin sem senza zonder
    blanco bez kontrastsiz simple basal non_contrast pre precontrast без 単純 平扫 비조영
    """
)
# What stands in the field of the agent when there was none: the whole text, since "NON-IONIC" is one.
_NO_AGENT: Final = frozenset(
    """
    -|0|c-|-c|n|na|n/a|no|non|none|nil|nein|not applicable|not given|none given|no contrast|non contrast|noncontrast
    no iv contrast|without|without contrast|w/o|w/o contrast|wo|unenhanced|plain|native|nativ|ohne|ohne km|kein|keine
    keines|kein km|sans|sans injection|sans contraste|sin contraste|sem contraste|senza contrasto|senza mdc|zonder
    zonder contrast|bez|bez kontrastu
    """.replace("\n", "|")
    .replace("    ", "")
    .split("|")
)

SPECTRAL: Final = Words.of(
    "iodine* jod* vnc zeff z_eff effective_z rho_z monoenerg* mono_e mono vmi electron_density kev spectral*"
)
_KEV: Final = re.compile(r"\b\d{2,3}\s?kev\b", re.IGNORECASE)

RENDERED: Final = Words.of("mip minip vrt 3d ssd volume_rendering bone_removal")

BONE: Final = Words.of("bone bones knochen* hueso* oseo ossea osseo osso bot kosc kosci kosten* кост* 骨")


def says_contrast(description: str) -> bool:
    """Whether a series' own description says that contrast was given, and does not say the opposite."""
    said = CONTRAST.found_in(description) or _CONTRAST_SIGNS.search(description) is not None
    return said and not WITHOUT.found_in(description)


def says_no_agent(agent: str) -> bool:
    """Whether the field of the agent means none: "C-" on a plain scan, "NONE", or nothing at all."""
    return " ".join(fold(agent).split()) in _NO_AGENT


def says_spectral(description: str) -> bool:
    """Whether a description names a spectral picture."""
    return _KEV.search(description) is not None or SPECTRAL.found_in(description)
